//! What processes that share their sessions decide.
//!
//! | file | concept |
//! | --- | --- |
//! | `schedule` | when to look at which slot of the store |
//! | `lww` | the defaults of a group, as a last-writer-wins map, and how two of them are merged |
//! | `book` | what this process knows of them and has changed; when a change was made by the store's time |

pub(crate) mod book;
pub(crate) mod lww;
pub(crate) mod schedule;
