//! The queue in which a create begins.

/// The queue in which a create begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It waits for a session call.
    Queue,
    /// It waits for a session call, behind the creates of keys that the server has accepted.
    Behind,
    /// It asks the store first.
    Store,
    /// It asks `GET /v1/health` first, which is free and needs no queue.
    Nowhere,
}
