//! Measures the cost of `sipher-session`, compared with anchors and peers in the same run.

pub mod anchors;
pub mod cases;
pub mod count;
pub mod day;
pub mod e2e;
pub mod growth;
pub mod herd;
pub mod inline;
pub mod lane;
pub mod middleware;
pub mod ours;
#[cfg(feature = "peers")]
pub mod peers;
pub mod renewals;
pub mod report;
pub mod request;
pub mod scale;
pub mod stub;
pub mod time;
