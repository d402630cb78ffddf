//! Carries out decisions: session calls, the store, tasks and timers, events, logs and metrics.
//!
//! | file | concept |
//! | --- | --- |
//! | `core`, `stage` | the state that all handles of one manager share; whether the manager is open |
//! | `index` | the current session of each partition |
//! | `calls` | the client for session calls |
//! | `create`, `flight` | one create, from its first try to its outcome; as waiting requests see it |
//! | `inquiry`, `question` | what is seen of the server; asking it with `GET /v1/health`, the *free question* |
//! | `client_error` | what the error of a wrapped client is evidence for |
//! | `caught` | catches panics of the user's code |
//! | `check`, `stand_in` | asking the server for one session; a session call if the free question is not answered |
//! | `retired`, `reaper`, `shutdown` | how sessions end |
//! | `by_hand`, `known_ids`, `peers` | sessions that users change or delete; which ids this process knows |
//! | `fleet` | sessions that are shared with other processes |
//! | `capacity`, `shortage` | the limit on sessions; a used-up call budget |
//! | `outage`, `quota` | an unreachable server; the server's own count of calls |
//! | `outside` | which origins outside of the base URL were reported |
//! | `fork` | what happens to sessions when the process forks |
//! | `once` | a channel for one value that many tasks wait for |
//! | `whose` | names the session that a failure is about, for its message |
//! | `observe`, `inline_counts`, `outbox` | counts what happens, and emits events once no lock is held |
//! | `log`, `meter`, `label` | logs and metrics |

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
