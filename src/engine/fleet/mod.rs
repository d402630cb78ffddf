//! Decisions for a *fleet*: processes that share their sessions through a store.
//!
//! | file | concept |
//! | --- | --- |
//! | `schedule` | when to read which slot of the store |
//! | `lww` | the defaults of a group, as a last-writer-wins map, and how two such maps are merged |
//! | `book` | the group's defaults that this process knows, and its own changes with their times by the store's clock |

pub(crate) mod book;
pub(crate) mod lww;
pub(crate) mod schedule;
