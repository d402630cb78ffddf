//! The tokio runtime that tasks and timers run on.

use std::{cell::Cell, panic::catch_unwind, time::Duration};

use tokio::{
    runtime::{Handle, Id},
    time::sleep,
};

use crate::error::{Error, ErrorKind};

thread_local! {
    /// The runtime that this thread checked last, and whether it has timers.
    static LOOKED_AT: Cell<Option<(Id, bool)>> = const { Cell::new(None) };
}

/// Returns the tokio runtime of the caller.
///
/// # Errors
///
/// Returns [`ErrorKind::NoRuntime`] if there is no runtime, or if it has no timers. Every wait in this crate needs a
/// timer.
pub(crate) fn runtime() -> Result<Handle, Error> {
    let runtime = Handle::try_current().map_err(|_| no_runtime())?;
    if has_timers(runtime.id()) {
        Ok(runtime)
    } else {
        let text =
            "the tokio runtime here has no timers; build it with `enable_time` or `enable_all`";
        Err(Error::new(ErrorKind::NoRuntime, text))
    }
}

/// Returns whether the current runtime has timers. tokio has no query for that: without timers, creating one panics
/// (`Sleep::new_timeout`). So this function creates one, once for each thread and runtime.
fn has_timers(id: Id) -> bool {
    match LOOKED_AT.get() {
        Some((before, has_timers)) if before == id => has_timers,
        _ => {
            let has_timers = catch_unwind(|| drop(sleep(Duration::ZERO))).is_ok();
            LOOKED_AT.set(Some((id, has_timers)));
            has_timers
        }
    }
}

pub(crate) fn no_runtime() -> Error {
    let text = "a session call needs a tokio runtime, and there is none here";
    Error::new(ErrorKind::NoRuntime, text)
}
