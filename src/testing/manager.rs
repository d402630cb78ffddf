//! A manager against a [`FakeSipher`].

use super::{FakeSipher, Tier};
use crate::{
    api::Transport,
    clock::testing::TestClock,
    front::{builder::SessionManagerBuilder, manager::SessionManager},
};

impl FakeSipher {
    /// Starts a [`SessionManager`] whose session calls come here: with an API key of the pro tier, the way here, and a clock that
    /// goes with tokio's. Everything else is as by default, and can be set.
    ///
    /// The clock is what makes a test under paused time tell the truth. With the system's clock, which goes on by microseconds
    /// while a test skips hours, a session would never grow old.
    ///
    /// A request that bears no key is sent with this manager's own. For a proxy, whose callers bring keys, build one without:
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
