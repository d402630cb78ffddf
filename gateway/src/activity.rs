//! What one connection is doing, for those that decide how long it may go on.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};

use crate::Limits;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    in_flight: usize,
    /// Whether bytes have arrived that no request came of yet.
    is_reading_head: bool,
}

/// Notes what happens on a connection. Clones belong to the same connection.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Arc<watch::Sender<Seen>>);

impl Activity {
    /// A connection that was just accepted: its first head is awaited.
    pub(crate) fn new() -> Self {
        let seen = Seen {
            in_flight: 0,
            is_reading_head: true,
        };
        Self(Arc::new(watch::Sender::new(seen)))
    }

    /// Notes that bytes have arrived. If no request is in flight, they begin a head. More bytes of the same head change
    /// nothing, so a caller that sends one byte at a time gains no time.
    pub(crate) fn bytes_arrived(&self) {
        self.0.send_if_modified(|seen| {
            let begins = seen.in_flight == 0 && !seen.is_reading_head;
            seen.is_reading_head |= begins;
            begins
        });
    }

    /// Notes a request, until the guard is dropped.
    pub(crate) fn begin(&self) -> InFlight {
        self.0.send_modify(|seen| {
            seen.in_flight += 1;
            seen.is_reading_head = false;
        });
        InFlight(self.clone())
    }

    /// Ends once the connection has been without a request for too long.
    pub(crate) async fn quiet_for_too_long(&self, limits: &Limits) {
        let mut changes = self.0.subscribe();
        loop {
            let seen = *changes.borrow_and_update();
            let limit = match seen {
                Seen { in_flight: 1.., .. } => None,
                Seen {
                    is_reading_head: true,
                    ..
                } => Some(limits.header_timeout),
                _ => Some(limits.idle_timeout),
            };
            if within(limit, changes.changed()).await.is_none() {
                return;
            }
        }
    }
}

async fn within<T>(limit: Option<Duration>, work: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => timeout(limit, work).await.ok(),
        None => Some(work.await),
    }
}

/// A request in flight: until the last byte of its answer was handed to the connection.
#[derive(Debug)]
pub(crate) struct InFlight(Activity);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.send_modify(|seen| {
            seen.in_flight = seen.in_flight.saturating_sub(1);
        });
    }
}
