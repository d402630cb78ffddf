//! A manager that uses a [`FakeSipher`].

use super::{FakeSipher, Tier};
use crate::{
    api::Transport,
    clock::testing::TestClock,
    front::{builder::SessionManagerBuilder, manager::SessionManager},
};

impl FakeSipher {
    /// Creates the builder of a [`SessionManager`] whose session calls go to this server. It has an API key of the pro
    /// tier, this server as its transport, and a clock that follows tokio's. All other settings have their defaults and
    /// can be changed.
    ///
    /// If tokio's time is paused, the clock matters. The system's clock advances by microseconds while a test skips
    /// hours, so no session would ever grow old.
    ///
    /// A request that carries no key is sent with this manager's key. To test a proxy, whose callers bring their own
    /// keys, build a manager without one:
    /// `SessionManager::builder().transport(Transport::new(sipher.clone())).clock(TestClock::new())`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sipher_session::{Chain, SessionDefaults, testing::FakeSipher};
    ///
    /// let sipher = FakeSipher::new();
    /// let sessions = sipher.manager().defaults(SessionDefaults::new().chain(Chain::Near)).build()?;
    /// assert_eq!(sessions.session().await?.defaults().chain, Some(Chain::Near));
    /// # Ok(()) }
    /// ```
    pub fn manager(&self) -> SessionManagerBuilder {
        SessionManager::builder()
            .api_key(self.api_key(Tier::Pro))
            .transport(Transport::new(self.clone()))
            .clock(TestClock::new())
    }
}
