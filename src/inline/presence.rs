//! Finds out whether an inline layer stands below a session layer.
//!
//! Suppose that a request has neither a session nor its defaults in the body. Before a session layer passes the request
//! on, it must know whether an inline layer below puts the defaults in. No type says which layers are below. But tower
//! polls every service for readiness before it is called, and an inline layer shows itself then. This works only if
//! every layer between the two passes the poll on within the same call.

use std::{cell::Cell, sync::Arc};

use crate::front::manager::SessionManager;

thread_local! {
    /// The manager of the inline layer that was polled last.
    static SHOWN: Cell<usize> = const { Cell::new(0) };
}

/// Shows an inline layer of this manager to the session layers above. Called after the services below were polled.
pub(super) fn show(manager: &SessionManager) {
    SHOWN.set(name(manager));
}

/// Returns the result of `ask`, and whether an inline layer of this manager has shown itself during `ask`.
pub(crate) fn watch<T>(manager: &SessionManager, ask: impl FnOnce() -> T) -> (T, bool) {
    SHOWN.set(0);
    let answer = ask();
    (answer, SHOWN.replace(0) == name(manager))
}

fn name(manager: &SessionManager) -> usize {
    Arc::as_ptr(manager.core()).addr()
}
