//! How the manager is, without finding out.

use std::{sync::Arc, time::Duration};

use super::{
    SessionManager,
    core::Stage,
    session::{LiveSession, Session},
};
use crate::error::Error;

/// How a manager is at this moment: what [`SessionManager::health`] returns.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// Whether the manager is shutting down or has shut down.
    pub is_shut_down: bool,
    /// For how long the session of the configured API key and defaults can still be put on requests. `None` if there is none: before
    /// the first request, while a create fails, or because nobody needs it.
    pub usable_for: Option<Duration>,
    /// How many sessions are put on requests, of all API keys.
    pub live_sessions: u64,
    /// What keeps sessions from being created right now: one error for the server, where it wants fewer calls from everybody, and
    /// one for each API key that is refused or has used up its day. Each names whom it concerns, and
    /// [`next_attempt_in`](Error::next_attempt_in) says when this crate tries again.
    pub held: Vec<Error>,
}

impl Health {
    /// Returns whether requests for the configured API key and defaults go out: there is a session, or nothing is known that keeps one
    /// from being created.
    pub fn is_ready(&self) -> bool {
        !self.is_shut_down && (self.usable_for.is_some() || self.held.is_empty())
    }
}

impl SessionManager {
    /// Returns how the manager is, from what it knows already. It makes no call, waits for nothing and keeps no session alive, so that a
    /// probe may ask each second.
    ///
    /// For a probe, do not call [`session`](Self::session): it creates a session, and another one each time that one has ended.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), sipher_session::Error> {
    /// use sipher_session::testing::FakeSipher;
    ///
    /// let sipher = FakeSipher::new();
    /// let sessions = sipher.manager().build()?;
    /// assert!(sessions.health().is_ready(), "nothing speaks against it");
    /// assert_eq!(sessions.health().usable_for, None, "and nobody has needed a session yet");
    ///
    /// sessions.session().await?;
    /// assert!(sessions.health().usable_for.is_some());
    /// assert_eq!(sipher.session_calls(), 1);
    /// # Ok(()) }
    /// ```
    pub fn health(&self) -> Health {
        let core = self.core();
        let now = core.now();
        let identity = self.identity();
        let own = identity
            .key_id()
            .map(|key| identity.defaults().with_key(key));
        let mut live = core.sessions();
        live.retain(|session| core.is_good(session, now));
        let is_own = |session: &&Arc<LiveSession>| Some(session.partition.id) == own;
        let session = live.iter().find(is_own);
        let session = session.map(|session| Session::new(session.clone(), core.clock()));
        Health {
            is_shut_down: core.stage() != Stage::Open,
            usable_for: session.map(|session| session.usable_for()),
            live_sessions: live.len() as u64,
            held: core.ledger().held(now),
        }
    }
}
