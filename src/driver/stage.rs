//! Whether a manager is open.

/// Whether a manager is open, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Open,
    ShuttingDown,
    /// The last handle is gone, and no shutdown was asked for.
    Abandoned,
}
