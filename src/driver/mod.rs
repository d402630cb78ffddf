//! Carries decisions out: calls, the store, tasks and timers, and what is told of them.
//!
//! | file | concept |
//! | --- | --- |
//! | `core`, `stage` | what all handles of one manager share; how far its own life has come |
//! | `index` | the current session of each partition |
//! | `calls` | the client for session calls |
//! | `create`, `flight` | one create, from its first try to its outcome; as others see it |
//! | `inquiry`, `question` | what is seen of the server; asking it, for all keys |
//! | `client_error` | what the error of a wrapped client speaks for |
//! | `caught` | work of the user's that panics |
//! | `check`, `stand_in` | asking for one session; which one in place of the question |
//! | `retired`, `reaper`, `shutdown` | how sessions end |
//! | `by_hand`, `known_ids`, `peers` | sessions that users change or delete; which ids are known here, and by other managers of the process |
//! | `fleet` | sessions that are shared with other processes |
//! | `capacity`, `shortage`, `outage`, `quota` | how many sessions there may be; while calls are used up; while nobody can connect; the server's own count |
//! | `outside` | which origins outside of the base URL were told of |
//! | `fork` | what becomes of sessions when the process forks |
//! | `once` | one value that one task brings and many wait for |
//! | `whose` | whose session a failure is about, for its message |
//! | `observe`, `inline_counts`, `outbox` | what happens is counted, and told once no lock is held |
//! | `log`, `meter`, `label` | it is logged and measured |

pub(crate) mod by_hand;
pub(crate) mod calls;
pub(crate) mod capacity;
mod caught;
pub(crate) mod check;
pub(crate) mod client_error;
pub(crate) mod core;
pub(crate) mod create;
pub(crate) mod fleet;
pub(crate) mod flight;
pub(crate) mod fork;
pub(crate) mod index;
pub(crate) mod inline_counts;
pub(crate) mod inquiry;
pub(crate) mod known_ids;
#[cfg(any(feature = "metrics", feature = "tracing"))]
pub(crate) mod label;
pub(crate) mod log;
pub(crate) mod meter;
pub(crate) mod observe;
pub(crate) mod once;
pub(crate) mod outage;
pub(crate) mod outbox;
pub(crate) mod outside;
pub(crate) mod peers;
pub(crate) mod question;
pub(crate) mod quota;
pub(crate) mod reaper;
pub(crate) mod retired;
pub(crate) mod shortage;
pub(crate) mod shutdown;
pub(crate) mod stage;
pub(crate) mod stand_in;
pub(crate) mod whose;
