//! Receives the events of a manager.

use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::model::event::Event;

/// Receives the [`Event`]s of a manager, from the moment when this receiver was created.
///
/// Events cost nothing while nobody receives them. A receiver keeps no session alive.
#[derive(Debug)]
pub struct Events(Receiver<Event>);

impl Events {
    pub(crate) fn new(receiver: Receiver<Event>) -> Self {
        Self(receiver)
    }

    /// Waits for the next event. Returns `None` once the manager is gone.
    ///
    /// # Cancel safety
    ///
    /// No event is lost if the future is dropped.
    pub async fn recv(&mut self) -> Option<Event> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(RecvError::Lagged(events)) => Some(Event::Missed { events }),
            Err(RecvError::Closed) => None,
        }
    }

    /// Returns the next event if one has already arrived. Does not wait.
    pub fn try_recv(&mut self) -> Option<Event> {
        use tokio::sync::broadcast::error::TryRecvError;
        match self.0.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Lagged(events)) => Some(Event::Missed { events }),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}
