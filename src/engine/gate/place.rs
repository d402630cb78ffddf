//! Where a create begins.

/// Where a create begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It waits for a session call.
    Queue,
    /// The same, behind those of keys that the server has accepted.
    Behind,
    /// It asks the store first.
    Store,
    /// It asks a question that is free.
    Nowhere,
}
