//! Signals that end the program.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// The signals to stop: SIGTERM of a supervisor, SIGINT of a terminal.
#[derive(Debug)]
pub struct Signals {
    term: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes the two signals over.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next of them.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
