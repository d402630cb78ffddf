//! Changes the manager's API key or defaults while requests go on.
//!
//! A session is never changed in place. A PATCH may be lost, or reach only some of the servers; then nobody knows the
//! session's defaults. So a successor with the new defaults is created first. Then all requests are switched over at
//! once, and the older sessions are retired.
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sipher_session::Error> {
//! # use sipher_session::{api::Transport, testing::{FakeSipher, TestClock, Tier}};
//! use sipher_session::{Chain, PrivacyLevel, SessionDefaults, SessionManager};
//!
//! # let sipher = FakeSipher::new();
//! let sessions = SessionManager::builder()
//!     .defaults(SessionDefaults::new().chain(Chain::Near))
//! #   .api_key(sipher.api_key(Tier::Pro)).transport(Transport::new(sipher)).clock(TestClock::new())
//!     .build()?;
//! sessions.update_defaults(SessionDefaults::new().privacy_level(PrivacyLevel::Maximum)).await?;
//! let session = sessions.session().await?;
//! assert_eq!(session.defaults().chain, Some(Chain::Near));
//! assert_eq!(session.defaults().privacy_level, Some(PrivacyLevel::Maximum));
//! # Ok(()) }
//! ```

use std::sync::{Arc, PoisonError};

use tokio::{sync::MutexGuard, time::timeout};

use super::{
    lease::Lease,
    manager::{Handle, SessionManager},
};
use crate::{
    api::SessionDefaults,
    driver::{fleet::Follower, flight::Outcome},
    error::{Error, ErrorKind},
    hot::session::LiveSession,
    model::{
        change::DefaultsChange,
        identity::Identity,
        inlining::InlineDefaults,
        partition::{KeyId, Partition},
        reason::RetireReason,
    },
    runtime::runtime,
    secret::ApiKey,
};

impl SessionManager {
    /// Merges `patch` into the manager's defaults, key by key.
    ///
    /// Once this has returned, no request that starts later, on any clone or thread, carries a session with the older
    /// defaults. Until then, requests go on with the older defaults, and none waits. If it fails, nothing has changed.
    /// Layers and requests with defaults of their own are not affected.
    ///
    /// In a fleet, this changes the defaults of all processes that were built with the same defaults. They follow
    /// within moments, or within 15 s if they hold a session and reach the store. This call does not wait for them. If
    /// the store cannot be reached, they follow later.
    ///
    /// Changes that other processes made to other fields stay. If two processes change the same field, the later change
    /// wins, by the store's clock. Before its own change, this method adopts those that other processes made before
    /// this process started, or while it had no session.
    ///
    /// # Errors
    ///
    /// * [`ErrorKind::Config`](crate::ErrorKind::Config) if a default is malformed.
    /// * [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) if another change does not end within `max_wait`.
    /// * The errors of [`session`](Self::session), if an API key is configured: without one there is no session to
    ///   create. If [`InlineDefaults`] is on, two of them do not stop the change: a transient error, and a tier that
    ///   may not have sessions. The defaults are then changed, and no error is returned.
    /// * [`ErrorKind::Store`](crate::ErrorKind::Store) in a fleet with `OnStoreDown::Fail`, if there is no session and
    ///   the store cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it has returned, nothing has changed. The successor may have been created
    /// already; it is then kept until it is used or evicted. In a fleet, the change may already have been made while it
    /// was sent to the other processes. It is then still sent to them.
    pub async fn update_defaults(&self, patch: SessionDefaults) -> Result<(), Error> {
        self.change_for_all(DefaultsChange::Patch(patch)).await
    }

    /// Makes `defaults` the manager's defaults, exactly. Use it to remove a default.
    ///
    /// Apart from that, it does the same as [`update_defaults`](Self::update_defaults).
    ///
    /// # Errors
    ///
    /// The errors of [`update_defaults`](Self::update_defaults).
    ///
    /// # Cancel safety
    ///
    /// The same as for [`update_defaults`](Self::update_defaults).
    pub async fn replace_defaults(&self, defaults: SessionDefaults) -> Result<(), Error> {
        self.change_for_all(DefaultsChange::Replacement(defaults))
            .await
    }

    fn lease_on_made(&self, partition: &Partition, made: &Arc<LiveSession>) -> Option<Lease> {
        let now = self.core().now();
        let is_it = made.partition.id == partition.id && self.core().is_good(made, now);
        is_it.then(|| Lease::on(made, self, now))?
    }

    /// Waits for changes that began earlier. A caller may hold the lock and never poll its future again, so this wait
    /// is limited to `max_wait`.
    async fn one_at_a_time(&self) -> Result<MutexGuard<'_, ()>, Error> {
        if let Ok(free) = self.0.changing.try_lock() {
            return Ok(free);
        }
        runtime()?;
        let max_wait = self.core().settings.max_wait;
        let free = timeout(max_wait, self.0.changing.lock()).await;
        free.map_err(|_| {
            let text = format!("another change did not end within the `max_wait` of {max_wait:?}");
            Error::new(ErrorKind::Timeout, text)
        })
    }

    /// In a fleet, adopts the changes of defaults that other processes have made, so that this change is made to the
    /// current defaults.
    async fn adopt_group_defaults(&self) -> Result<(), Error> {
        let fleet = &self.core().fleet;
        if fleet.is_there() {
            // Check for a runtime first: the timers of the store's steps would panic without one.
            runtime()?;
        }
        fleet.first_look(self.core(), &self.identity()).await
    }

    async fn change_for_all(&self, change: DefaultsChange) -> Result<(), Error> {
        let fleet = &self.core().fleet;
        self.adopt_group_defaults().await?;
        {
            let _one_at_a_time = self.one_at_a_time().await?;
            let older = self.identity();
            let before = older.defaults().defaults.clone();
            let newer = older.with_defaults(change.of(&before))?;
            self.switch(&older, newer).await?;
            fleet.changed_defaults(self.core(), &change, &before);
        }
        fleet.tell_defaults(self.core()).await;
        Ok(())
    }

    /// Changes the configured API key, for example to rotate it.
    ///
    /// A successor is created with the new key. Then all requests are switched over. The sessions of the older key are
    /// deleted, by calls that carry the older key.
    ///
    /// Once this has returned, no request without a key of its own gets the older key. If it fails, for example because
    /// the server does not accept the new key, nothing has changed.
    ///
    /// In a fleet, the processes with the new key are another group. The manager takes its changes of defaults along,
    /// and adopts the changes of the new group.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if `key` cannot be an API key, and the errors of
    /// [`session`](Self::session).
    ///
    /// # Cancel safety
    ///
    /// The same as for [`update_defaults`](Self::update_defaults).
    pub async fn set_api_key(&self, key: impl Into<ApiKey>) -> Result<(), Error> {
        let fleet = &self.core().fleet;
        self.adopt_group_defaults().await?;
        {
            let _one_at_a_time = self.one_at_a_time().await?;
            let older = self.identity();
            let newer = older.with_key(key.into())?;
            if let Some(key) = newer.key_id() {
                let now = self.core().now();
                self.core().gate().known_keys.accept(key, now);
            }
            let (newer, moving) = fleet.move_to(self.core(), newer).await;
            self.switch(&older, newer).await?;
            fleet.moved_to(self.core(), &moving);
        }
        fleet.tell_defaults(self.core()).await;
        Ok(())
    }

    fn set_identity(&self, newer: Identity) {
        let identity = &self.0.identity;
        *identity.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(newer);
    }

    /// Creates the successor and takes a lease on it. Returns `None` if the change needs no session: sessions are
    /// turned off, or inline defaults are on and the create failed for a reason other than the change.
    async fn successor(&self, partition: Arc<Partition>) -> Result<Option<Lease>, Error> {
        if !self.core().settings.inline.makes_sessions {
            return Ok(None);
        }
        match self.clone().lease(partition).await {
            Ok(lease) => Ok(Some(lease)),
            Err(error) if self.goes_without(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns whether to change the defaults although the create of a session with them failed with this error.
    fn goes_without(&self, error: &Error) -> bool {
        let is_inline = self.core().settings.inline.defaults != InlineDefaults::Off;
        is_inline && is_no_fault_of_its(error)
    }

    /// Creates a successor and switches all requests over. The caller holds the lock of changes.
    async fn switch(&self, older: &Identity, newer: Identity) -> Result<(), Error> {
        // Keep the lease until all requests are switched over, so that the session is not evicted before its first use.
        let lease = match newer.partition()? {
            Some(partition) => self.successor(partition).await?,
            None => None,
        };
        self.switch_now(older, newer);
        if let Some(lease) = lease {
            lease.complete();
        }
        Ok(())
    }

    fn switch_now(&self, older: &Identity, newer: Identity) {
        let is_older = older_sessions(older, &newer);
        self.core().gate().known_keys.own(newer.key_id());
        self.set_identity(newer);
        self.core().memos.forget_all();
        self.core()
            .retire_all(RetireReason::Changed, |session| is_older(session));
    }
}

impl Follower for Handle {
    fn identity(&self) -> Arc<Identity> {
        let identity = self.identity.read();
        identity.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn begin_with_defaults(self: Arc<Self>, now: SessionDefaults) -> Result<(), Error> {
        let manager = SessionManager(self);
        let older = manager.identity();
        let newer = older.with_defaults(now)?;
        manager.switch_now(&older, newer);
        Ok(())
    }

    fn try_follow(
        self: Arc<Self>,
        now: SessionDefaults,
        made: Option<Outcome>,
    ) -> Result<Option<Arc<Partition>>, Error> {
        let manager = SessionManager(self);
        let older = manager.identity();
        let newer = older.with_defaults(now)?;
        if newer.defaults().defaults == older.defaults().defaults {
            return Ok(None);
        }
        let makes_sessions = manager.core().settings.inline.makes_sessions;
        let Some(partition) = newer.partition()?.filter(|_| makes_sessions) else {
            manager.switch_now(&older, newer);
            return Ok(None);
        };
        // Keep the lease until all requests are switched over, so that the session is not evicted before its first use.
        let (lease, goes_without) = match (manager.try_lease(partition.id), made) {
            (Some(lease), _) => (Some(lease), false),
            (None, Some(Ok(made))) => (manager.lease_on_made(&partition, &made), false),
            (None, Some(Err(error))) if manager.goes_without(&error) => (None, true),
            (None, Some(Err(error))) => return Err(error),
            (None, None) => (None, false),
        };
        if lease.is_none() && !goes_without {
            return Ok(Some(partition));
        }
        manager.switch_now(&older, newer);
        if let Some(lease) = lease {
            lease.complete();
        }
        Ok(None)
    }
}

/// Returns whether the error has another cause than the change: the same change could succeed later, or with a key of
/// another tier.
fn is_no_fault_of_its(error: &Error) -> bool {
    error.is_transient() || error.code() == Some("TIER_ACCESS_DENIED")
}

/// Returns a test for the sessions to retire after a change: those with the older key, or with the older defaults.
fn older_sessions(older: &Identity, newer: &Identity) -> impl Fn(&LiveSession) -> bool + use<> {
    let key: Option<KeyId> = older.key_id().filter(|key| newer.key_id() != Some(*key));
    let changed = older.defaults().defaults != newer.defaults().defaults;
    let defaults = changed.then(|| older.defaults().defaults.clone());
    move |session| {
        let partition = &session.partition;
        key == Some(partition.key_id) || defaults.as_ref() == Some(&partition.defaults)
    }
}
