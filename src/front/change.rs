//! Changing who the manager speaks for, while requests go on.
//!
//! A session is never changed in place: a PATCH that is lost, or that not every server has seen, leaves defaults that
//! nobody knows. A successor with the new defaults is made first, then everybody is switched over at once, and the older
//! sessions are retired.
//!
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
    /// Puts `patch` over the manager's defaults, key by key.
    ///
    /// Once this has returned, no request whose call starts later, on whatever clone or thread, bears a session with the
    /// older defaults. Until then all go on with the older ones; nobody waits. When it fails, nothing has changed.
    /// Layers and requests with defaults of their own are not concerned.
    ///
    /// In a fleet that shares a store, the processes that were built with the same defaults follow: within moments, and within
    /// 15 s at most if they hold a session and reach the store. This call does not wait for them. What another process
    /// changed in other fields stays; of two changes of one field the later one wins, by the store's time of when it was
    /// made. If the store cannot be reached, the others learn of it later. This method, like every request, first adopts
    /// what the others have changed before this process started, or while it had no session.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the defaults cannot be right,
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) if another change does not end within `max_wait`, and those of
    /// [`session`](Self::session). Without a configured API key there is no session to be made, and so no such error; with
    /// [`InlineDefaults`] on, a successor that cannot be had for now, or not by a key of this tier, does not keep the defaults
    /// from being changed. In a fleet
    /// with `OnStoreDown::Fail`, [`ErrorKind::Store`](crate::ErrorKind::Store) if there is no session and the store cannot be
    /// reached.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it has returned, it has changed nothing; the successor may have been made, and is then kept until
    /// it is used or evicted. Only in a fleet it may have changed already, while the others are told of it; then they are
    /// told all the same.
    pub async fn update_defaults(&self, patch: SessionDefaults) -> Result<(), Error> {
        self.change_for_all(DefaultsChange::Patch(patch)).await
    }

    /// Makes `defaults` the manager's defaults, exactly: this is how to take one away.
    ///
    /// Apart from that it does what [`update_defaults`](Self::update_defaults) does.
    ///
    /// # Errors
    ///
    /// Those of [`update_defaults`](Self::update_defaults).
    ///
    /// # Cancel safety
    ///
    /// That of [`update_defaults`](Self::update_defaults).
    pub async fn replace_defaults(&self, defaults: SessionDefaults) -> Result<(), Error> {
        self.change_for_all(DefaultsChange::Replacement(defaults))
            .await
    }

    fn lease_on_made(&self, partition: &Partition, made: &Arc<LiveSession>) -> Option<Lease> {
        let now = self.core().now();
        let is_it = made.partition.id == partition.id && self.core().is_good(made, now);
        is_it.then(|| Lease::on(made, self, now))?
    }

    /// Waits for changes that were begun before. One whose caller does not poll it holds the others up, so that there is a bound.
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

    /// What is changed is what the others have now.
    async fn adopt_group_defaults(&self) -> Result<(), Error> {
        let fleet = &self.core().fleet;
        if fleet.is_there() {
            // Before the timers of the store's steps, which would panic.
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

    /// Changes the configured API key, as for its rotation: a successor is made with the new key, then all are switched
    /// over, and the sessions of the older key are deleted with the older key.
    ///
    /// Once this has returned, no request that bears no key of its own gets the older one. When it fails, because the
    /// new key is not accepted for instance, nothing has changed.
    ///
    /// In a fleet that shares a store, the processes with the new key are another group. Changes of defaults that were made
    /// so far are taken along, and what the new group has changed is adopted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it cannot be a key, and those of [`session`](Self::session).
    ///
    /// # Cancel safety
    ///
    /// That of [`update_defaults`](Self::update_defaults).
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

    /// `None` where defaults in the body do as well, and no session is to be had for a reason that is not the change's.
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

    /// Whether the defaults are changed although their session could not be had.
    fn goes_without(&self, error: &Error) -> bool {
        let is_inline = self.core().settings.inline.defaults != InlineDefaults::Off;
        is_inline && is_no_fault_of_its(error)
    }

    /// The caller holds the lock of changes.
    async fn switch(&self, older: &Identity, newer: Identity) -> Result<(), Error> {
        // Held until everybody is switched over, so that it is not evicted before its first use.
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
        // Held until everybody is switched over, so that the session is not evicted before its first use.
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

/// The same change might have a session at another time, or with a key of another tier.
fn is_no_fault_of_its(error: &Error) -> bool {
    error.is_transient() || error.code() == Some("TIER_ACCESS_DENIED")
}

/// Which sessions nobody asks for any more: those of the key, or with the defaults, that were changed.
fn older_sessions(older: &Identity, newer: &Identity) -> impl Fn(&LiveSession) -> bool + use<> {
    let key: Option<KeyId> = older.key_id().filter(|key| newer.key_id() != Some(*key));
    let changed = older.defaults().defaults != newer.defaults().defaults;
    let defaults = changed.then(|| older.defaults().defaults.clone());
    move |session| {
        let partition = &session.partition;
        key == Some(partition.key_id) || defaults.as_ref() == Some(&partition.defaults)
    }
}
