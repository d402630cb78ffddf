//! What things are: plain values, and what follows from one of them alone.
//!
//! | file | concept |
//! | --- | --- |
//! | `partition`, `identity` | whose session with which defaults; who the manager speaks for when a request does not say |
//! | `life` | for how long a session is used, renewed, worth a delete |
//! | `echo` | whether a session is what was asked for |
//! | `failure`, `sign` | what follows from a failed session call; which failures speak against the server |
//! | `evidence` | what a session's own create said of it; why the server is asked |
//! | `event`, `reason`, `session_ref`, `report`, `proof` | what users are told |
//! | `settings`, `budget`, `outside`, `inlining`, `change` | what users decide, and change |

pub(crate) mod budget;
pub(crate) mod change;
pub(crate) mod echo;
pub(crate) mod event;
pub(crate) mod evidence;
pub(crate) mod failure;
pub(crate) mod identity;
pub(crate) mod inlining;
pub(crate) mod life;
pub(crate) mod outside;
pub(crate) mod partition;
pub(crate) mod proof;
pub(crate) mod reason;
pub(crate) mod report;
pub(crate) mod session_ref;
pub(crate) mod settings;
pub(crate) mod sign;
