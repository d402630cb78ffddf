//! Puts a session's defaults into request bodies, as the server would.
//!
//! The server uses a session for one thing: it adds the session's defaults to JSON object bodies, key by key, where the
//! request has no such key. The client can do the same, and then no session has to survive for the defaults to apply.
//!
//! [`merge`] is that merge, as a pure function.

pub(crate) mod carrier;
pub(crate) mod course;
mod future;
pub(crate) mod handoff;
pub(crate) mod head;
mod layer;
mod members;
mod merge;
mod outcome;
mod reason;
mod scan;
mod setting;

pub(crate) use self::course::refused;
pub use self::{
    future::InlineFuture,
    layer::{InlineDefaultsLayer, InlineDefaultsService},
    merge::{Merge, merge},
    outcome::Inlined,
    reason::NotInlined,
    setting::InlineDefaults,
};
use crate::body::ReadAhead;

/// The body of a request that passes an [`InlineDefaultsLayer`].
pub type InlineBody<B> = ReadAhead<B>;
