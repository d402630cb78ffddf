//! A limit on how long something may stand still.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// Runs while something is pending, and starts anew with each piece of progress.
#[derive(Debug)]
pub(crate) struct Stall {
    after: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

impl Stall {
    pub(crate) fn new(after: Duration) -> Self {
        Self {
            after,
            timer: None,
            is_running: false,
        }
    }

    /// Notes progress.
    pub(crate) fn moved(&mut self) {
        self.is_running = false;
    }

    /// Notes that nothing has moved. Is ready once that has lasted too long, and wakes the task then.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let after = self.after;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(after)));
        if !self.is_running {
            timer.as_mut().reset(Instant::now() + after);
            self.is_running = true;
        }
        timer.as_mut().poll(cx)
    }
}
