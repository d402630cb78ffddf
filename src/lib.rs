//! Session-aware client middleware for the Sipher REST API.
#![forbid(unsafe_code)]

pub mod clock;
#[cfg(feature = "testing")]
#[cfg_attr(docsrs, doc(cfg(feature = "testing")))]
pub mod testing;
