//! What the crate tells `tracing` and `metrics`; this module holds documentation, no items.
