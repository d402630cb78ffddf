//! The tokio runtime that tasks and timers run on.

use std::{cell::Cell, panic::catch_unwind, time::Duration};

use tokio::{
    runtime::{Handle, Id},
    time::sleep,
};

use crate::error::{Error, ErrorKind};

thread_local! {
    /// The runtime that was looked at last, and whether it has timers.
    static LOOKED_AT: Cell<Option<(Id, bool)>> = const { Cell::new(None) };
}

/// The runtime of the caller.
///
/// # Errors
///
/// [`ErrorKind::NoRuntime`] if there is none, or if it has no timers: every wait here needs one.
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

/// tokio does not say so otherwise than by a panic where a timer is made (`Sleep::new_timeout`). It is made once for each thread and
/// runtime.
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
