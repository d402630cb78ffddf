//! Puts a session's defaults into request bodies, as the server would.
//!
//! The server uses a session for one thing: it adds the session's defaults to JSON object bodies, key by key, where the
//! request has no such key. The client can do the same, and then no session has to survive for the defaults to apply.
//!
//! [`merge`] is that merge, as a pure function.

mod head;
mod members;
mod merge;
mod reason;
mod scan;

pub use self::{
    merge::{Merge, merge},
    reason::NotInlined,
};
