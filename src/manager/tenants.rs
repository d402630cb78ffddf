//! For those who make requests for many API keys.

use super::{
    Session, SessionManager,
    partition::{HashedDefaults, KeyId, Partition},
    waiting::Wanted,
};
use crate::{api::SessionDefaults, error::Error, secret::ApiKey};

impl SessionManager {
    /// Returns the session of this API key with these defaults, and creates it if need be, so that the first request of a tenant need
    /// not wait. Requests find it if their key is this one, and their defaults, those of their layer or of the manager, are these.
    ///
    /// # Errors
    ///
    /// Those of [`session`](Self::session), and [`Config`](crate::ErrorKind::Config) if the key or the defaults cannot be right.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the create goes on in its own task.
    pub async fn ready(
        &self,
        key: impl Into<ApiKey>,
        defaults: SessionDefaults,
    ) -> Result<Session, Error> {
        let partition = Partition::new(key.into(), &HashedDefaults::new(defaults))?;
        let lease = self.lease_on(Wanted::Session(partition)).await?;
        let session = lease.session();
        lease.complete();
        Ok(session)
    }

    /// Forgets that the server refused this API key, or said that its day is used up: the next request tries again at once. For a
    /// customer who has just upgraded, or whose key was accepted again. Returns whether anything was held.
    ///
    /// What the server says of all keys, such as `RATE_LIMIT_EXCEEDED`, goes on to hold. In a fleet, each process has holds of its own,
    /// and one that has just failed asks the others to wait, so that it may take a moment there.
    ///
    #[cfg_attr(feature = "testing", doc = "```")]
    #[cfg_attr(not(feature = "testing"), doc = "```ignore")]
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), sipher_session::Error> {
    /// use sipher_session::{SessionDefaults, testing::{FakeSipher, Tier}};
    ///
    /// let sipher = FakeSipher::new();
    /// let sessions = sipher.manager().build()?;
    /// let ready = async || sessions.ready("sk_of_a_customer", SessionDefaults::new()).await;
    ///
    /// assert!(ready().await.is_err(), "the server does not know the key");
    /// sipher.accept_key("sk_of_a_customer", Tier::Pro);
    /// assert!(ready().await.is_err(), "nobody asks again so soon");
    /// assert!(sessions.clear_holds("sk_of_a_customer"));
    /// assert!(ready().await.is_ok());
    /// # Ok(()) }
    /// ```
    pub fn clear_holds(&self, key: impl Into<ApiKey>) -> bool {
        let key = KeyId::of(key.into().expose());
        self.core().ledger().clear_holds(key, self.core().now())
    }
}
