//! What every request touches: atomics and the locks of single threads' places, and no decisions.
//!
//! | file | concept |
//! | --- | --- |
//! | `session` | one session, as requests and tasks see it |
//! | `shared` | its place among the processes that share it |
//! | `use_count` | how many requests use it |
//! | `memo` | the short way of a request like the one before |
//! | `signs` | how many signs of trouble there have been |

pub(crate) mod memo;
pub(crate) mod session;
pub(crate) mod shared;
pub(crate) mod signs;
pub(crate) mod use_count;
