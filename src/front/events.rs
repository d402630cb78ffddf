//! Receives the events of a manager.

use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::model::event::Event;

/// Receives the [`Event`]s of a manager, from the moment when this receiver was created.
///
/// Events cost nothing while nobody receives them. A receiver keeps no session alive.
///
#[cfg_attr(feature = "testing", doc = "```")]
#[cfg_attr(not(feature = "testing"), doc = "```ignore")]
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), sipher_session::Error> {
/// use sipher_session::{Event, SessionManager, api::Transport, testing::{FakeSipher, Tier}};
///
/// let sipher = FakeSipher::new();
/// let sessions = SessionManager::builder()
///     .api_key(sipher.api_key(Tier::Pro))
///     .transport(Transport::new(sipher))
///     .build()?;
/// let mut events = sessions.events();
/// let session = sessions.session().await?;
/// match events.recv().await {
///     Some(Event::Created { session: created, .. }) => {
///         assert_eq!(created.generation, session.generation());
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok(()) }
/// ```
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
