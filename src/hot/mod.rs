//! What every request touches: atomics, and locks that threads almost never wait for. No decisions are made here.
//!
//! | file | concept |
//! | --- | --- |
//! | `session` | one session, as requests and tasks see it |
//! | `shared` | the session's place in the fleet of processes that share it |
//! | `use_count` | how many requests use it |
//! | `memo` | repeats the last decision for a request with the same credentials |
//! | `signs` | counts signs that the server may have lost its sessions |

pub(crate) mod memo;
pub(crate) mod session;
pub(crate) mod shared;
pub(crate) mod signs;
pub(crate) mod use_count;
