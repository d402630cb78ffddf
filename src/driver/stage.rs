//! How far the manager's own life has come.

/// How far the manager's own life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Open,
    ShuttingDown,
    /// The last handle is gone, and nobody asked for a shutdown.
    Abandoned,
}
