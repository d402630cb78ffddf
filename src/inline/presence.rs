//! Whether an inline layer stands below a session layer, as far as readiness is passed down on the spot.
//!
//! A session layer must know it before it hands a request on that has neither a session nor its defaults yet. No type
//! says what is below. But tower asks every service whether it is ready before it is called, and an inline layer shows
//! itself then.

use std::{cell::Cell, sync::Arc};

use crate::front::manager::SessionManager;

thread_local! {
    /// The manager of the inline layer that was asked last.
    static SHOWN: Cell<usize> = const { Cell::new(0) };
}

/// Shows an inline layer of this manager to the session layers above, once what is below it was asked.
pub(super) fn show(manager: &SessionManager) {
    SHOWN.set(name(manager));
}

/// Returns what `ask` returns, and whether an inline layer of this manager has shown itself meanwhile.
pub(crate) fn watch<T>(manager: &SessionManager, ask: impl FnOnce() -> T) -> (T, bool) {
    SHOWN.set(0);
    let answer = ask();
    (answer, SHOWN.replace(0) == name(manager))
}

fn name(manager: &SessionManager) -> usize {
    Arc::as_ptr(manager.core()).addr()
}
