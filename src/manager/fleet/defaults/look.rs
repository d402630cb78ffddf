//! Looking at a group's defaults: before a process makes or takes up a session, and to follow what others change later.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::Mutex as Turn, time::timeout};

use super::{Following, LwwDefaults};
use crate::{
    clock::Reading,
    error::{Error, ErrorKind},
    manager::{
        OnStoreDown, SessionManager,
        core::Core,
        fleet::{Fleet, Inner, STEP, refuse},
        identity::Identity,
    },
};

/// How soon a process hears of what others have changed. Without a heartbeat it does not, so it looks before it makes or
/// takes up its next session.
const HEARD_WITHIN: Duration = Duration::from_secs(15);

/// A process begins with what its group has now: nobody gets a session with the manager's defaults before it has looked.
/// The same holds after a time in which it had neither a session nor a heartbeat.
#[derive(Default)]
pub(in crate::manager::fleet) struct FirstLook {
    is_done: AtomicBool,
    /// When the manager's defaults were last known to be those of the group, or the store could not be asked.
    last: Mutex<Option<Reading>>,
    /// How many have failed.
    failures: AtomicUsize,
    /// Whoever holds it looks, for all who wait for it; with why the last look failed. A caller that gives up leaves it to
    /// the next.
    turn: Turn<Option<Error>>,
}

impl FirstLook {
    fn is_recent(&self, now: Reading) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| now.since(last) <= HEARD_WITHIN)
    }

    /// `asked` is when the store was asked.
    fn looked(&self, asked: Reading) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.monotonic <= asked.monotonic) {
            *last = Some(asked);
        }
    }
}

impl Fleet {
    /// Returns whether the manager's defaults are those of its group. To be asked before they are read: they are set before
    /// this, so the load needs no ordering of its own.
    #[inline]
    pub(crate) fn has_looked(&self) -> bool {
        let look = |inner: &Inner| inner.first_look.is_done.load(Ordering::Relaxed);
        self.inner().is_none_or(look)
    }

    /// Returns whether a session may be made or taken up for the manager's defaults as they are. While the manager has a
    /// session, the heartbeat follows what others change. Without one, the last look must not be too long ago.
    #[cold]
    pub(crate) fn knows_defaults(&self, manager: &SessionManager) -> bool {
        let Some(inner) = self.inner() else {
            return true;
        };
        let now = manager.core().now();
        inner.first_look.is_recent(now) || (self.has_looked() && manager.has_good_session(now))
    }

    /// Adopts the group's present defaults, unless [they are known](Self::knows_defaults).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Store`] if the store cannot be asked and [`OnStoreDown::Fail`] was chosen; the next request looks again.
    pub(crate) async fn first_look(&self, manager: &SessionManager) -> Result<(), Error> {
        if self.knows_defaults(manager) {
            return Ok(());
        }
        let (Some(inner), core) = (self.inner(), manager.core()) else {
            return Ok(());
        };
        let look = &inner.first_look;
        let failures = look.failures.load(Ordering::Acquire);
        let mut last = tokio::select! {
            biased;
            _ = core.closed() => return Err(Error::shutdown()),
            last = look.turn.lock() => last,
        };
        if self.knows_defaults(manager) {
            return Ok(());
        }
        if look.failures.load(Ordering::Acquire) != failures
            && let Some(error) = &*last
        {
            return Err(error.clone());
        }
        let asked = core.now();
        let looked = tokio::select! {
            biased;
            _ = core.closed() => Err(Error::shutdown()),
            looked = inner.look_first(manager) => looked,
        };
        match looked {
            Err(error) if error.kind() != ErrorKind::Store || !inner.goes_on_without_store() => {
                *last = Some(error.clone());
                look.failures.fetch_add(1, Ordering::AcqRel);
                Err(error)
            }
            // Without the store it goes on with the defaults it has, and follows once the store is back.
            Ok(()) | Err(_) => {
                look.looked(asked);
                look.is_done.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}

impl Inner {
    async fn look_first(&self, manager: &SessionManager) -> Result<(), Error> {
        let (core, identity) = (manager.core(), manager.identity());
        let group = identity.key().and_then(|key| self.group(core, key));
        let Some((following, seal)) = group else {
            return Ok(());
        };
        if Handle::try_current().is_err() {
            let text = "a look at the shared store needs a tokio runtime, and there is none here";
            return Err(Error::new(ErrorKind::NoRuntime, text));
        }
        // A request that waits for this has time left for its session.
        let limit = STEP.min(core.settings.max_wait / 2);
        let found = timeout(limit, self.read_defaults(core, &seal)).await;
        let found = found.unwrap_or_else(|_| Err(too_slow(limit)))?;
        let Some(others) = found.into_state() else {
            return Ok(());
        };
        let now = || following.book().with(&others, &following.home);
        let began = manager
            .begin_with_defaults(now, || following.book().adopt(&others))
            .await;
        if began.is_err() {
            refuse(core, seal.slot);
        }
        Ok(())
    }

    /// Looks for what other processes have changed, and follows it. Puts back what the store has lost, and renews what it
    /// would soon forget.
    pub(in crate::manager::fleet) async fn follow_defaults(
        &self,
        core: &Arc<Core>,
    ) -> Result<(), Error> {
        let Some((following, _, seal)) = self.present_group(core) else {
            return Ok(());
        };
        let asked = core.now();
        let found = self.read_defaults(core, &seal).await.inspect_err(|_| {
            // The heartbeat is the one to try again: no request waits for that.
            if self.goes_on_without_store() {
                self.first_look.looked(asked);
            }
        })?;
        let generation = found.generation;
        let group = self.publish_defaults(core, following, &seal, found).await?;
        let Some(handle) = following.handle.upgrade() else {
            return Ok(());
        };
        let identity = SessionManager(handle).identity();
        let defaults = following.book().with(&group, &following.home);
        let Ok(newer) = identity.with_defaults(defaults) else {
            // Another version of this crate takes them for right.
            if self.is_first_refusal(seal.slot, generation) {
                refuse(core, seal.slot);
            }
            return Ok(());
        };
        // Meanwhile nobody tells the store which sessions are in use. What is not done in time is done next time.
        let switched = timeout(
            self.interval(),
            switch(core, following, &group, &identity, &newer),
        );
        let Ok(switched) = switched.await else {
            return Ok(());
        };
        switched.inspect(|()| self.first_look.looked(asked))
    }

    fn goes_on_without_store(&self) -> bool {
        self.sharing.on_store_down == OnStoreDown::OwnSession
    }
}

/// Goes over to what other processes have changed. What is changed here meanwhile is kept.
async fn switch(
    core: &Arc<Core>,
    following: &Following,
    group: &LwwDefaults,
    older: &Identity,
    newer: &Identity,
) -> Result<(), Error> {
    // First without a handle, which would keep the manager alive for as long as that takes.
    if newer.defaults().defaults != older.defaults().defaults
        && let Some(partition) = newer.partition()?
    {
        core.warm_up(&partition).await?;
    }
    let Some(handle) = following.handle.upgrade() else {
        return Ok(());
    };
    let now = || following.book().with(group, &following.home);
    SessionManager(handle)
        .follow_defaults(now, || following.book().adopt(group))
        .await
}

fn too_slow(limit: Duration) -> Error {
    let text = format!("the shared store did not tell the defaults within {limit:?}");
    Error::new(ErrorKind::Store, text)
}
