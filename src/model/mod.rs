//! Plain values, and what follows from one of them alone.
//!
//! | file | concept |
//! | --- | --- |
//! | `partition`, `identity` | an API key with its defaults; key and defaults of requests that name none |
//! | `life` | how long a session is used, when it is renewed, whether it is worth a delete |
//! | `echo` | whether a session is what was asked for |
//! | `failure`, `sign` | what follows from a failed session call; which failures speak against the server |
//! | `evidence` | what is known of one session; why the server is asked |
//! | `event`, `reason`, `session_ref`, `report`, `proof` | what users are shown |
//! | `settings`, `budget`, `outside`, `inlining`, `change` | what users set, and change |

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
