//! Reads a group's defaults: before a process makes or adopts a session, and later to follow changes by others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{sleep, timeout};

use super::{Following, LwwDefaults};
use crate::{
    clock::Reading,
    driver::{
        core::Core,
        fleet::{Fleet, Inner, STEP, refuse},
        flight::Outcome,
        once::{self, Receiver, Sender},
    },
    error::{Error, ErrorKind},
    lock::Lock,
    model::{failure::FLOOR, identity::Identity, partition::Partition, settings::OnStoreDown},
    runtime::runtime,
};

/// How soon a process with a heartbeat learns of changes by others. A process without one, whose last look is longer
/// ago, looks again before it creates or adopts a session.
const HEARD_WITHIN: Duration = Duration::from_secs(15);
/// If a look takes longer than this, its runtime has stalled.
const LATE: Duration = Duration::from_secs(6);

/// The result of a look, for all who wait for it.
type Looked = Result<(), Error>;

/// The look at the group's defaults before the first session. Example: a process starts after another one has changed
/// the defaults. No request gets a session with the manager's defaults before this look. The same holds after an idle
/// time, in which no heartbeat ran.
#[derive(Default)]
pub(in crate::driver::fleet) struct FirstLook {
    is_done: AtomicBool,
    looks: Lock<Looks>,
}

#[derive(Default)]
struct Looks {
    /// When the manager's defaults were last known to be the group's, or the store was found to be down.
    last: Option<Reading>,
    /// The last look, and when it began. A look runs in a task, so that it goes on if a caller gives up or is not
    /// polled.
    current: Option<(Receiver<Looked>, Reading)>,
}

impl FirstLook {
    /// Forgets a look that was begun in another process, before a fork.
    pub(in crate::driver::fleet) fn begin_anew(&self) {
        self.looks.lock().current = None;
    }

    fn is_recent(&self, now: Reading) -> bool {
        let last = self.looks.lock().last;
        last.is_some_and(|last| now.since(last) <= HEARD_WITHIN)
    }

    /// Notes that a look succeeded. `asked` is when the store was asked.
    fn looked(&self, asked: Reading) {
        let last = &mut self.looks.lock().last;
        if last.is_none_or(|last| last.monotonic <= asked.monotonic) {
            *last = Some(asked);
        }
    }
}

impl Fleet {
    /// Returns whether the manager's defaults are those of its group. Call this before you read the defaults. They are
    /// set, under their own lock, before this flag is. So the load needs no ordering of its own.
    #[inline]
    pub(crate) fn has_looked(&self) -> bool {
        let look = |inner: &Inner| inner.first_look.is_done.load(Ordering::Relaxed);
        self.inner().is_none_or(look)
    }

    /// Returns whether a session may be made or adopted for the manager's present defaults. While the manager has a
    /// session, its heartbeat follows changes by others. Without a session, the last look must be recent.
    #[cold]
    pub(crate) fn knows_defaults(&self, core: &Core, identity: &Identity) -> bool {
        let Some(inner) = self.inner() else {
            return true;
        };
        let now = core.now();
        inner.first_look.is_recent(now)
            || (self.has_looked() && core.has_usable_session(identity, now))
    }

    /// Adopts the group's present defaults, unless [they are known](Self::knows_defaults).
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Store`] if the store cannot be asked and [`OnStoreDown::Fail`] was chosen. The next
    /// request looks again.
    pub(crate) async fn first_look(
        &self,
        core: &Arc<Core>,
        identity: &Identity,
    ) -> Result<(), Error> {
        if self.knows_defaults(core, identity) {
            return Ok(());
        }
        self.within(Ok(()), async |inner| {
            // A request that waits for this look also needs time for its session.
            let limit = STEP.min(core.settings.max_wait / 2);
            match timeout(limit, inner.wait_for_look(core)).await {
                Ok(looked) => looked,
                // Go on with the present defaults, and follow the group once the store has answered.
                Err(_) if inner.goes_on_without_store() => Ok(()),
                Err(_) => inner.wait_for_look(core).await,
            }
        })
        .await
    }
}

impl Inner {
    async fn wait_for_look(&self, core: &Arc<Core>) -> Looked {
        loop {
            let (look, late_in) = self.join_look(core)?;
            tokio::select! {
                biased;
                _ = core.closed() => return Err(Error::shutdown()),
                looked = look.wait() => if let Some(looked) = looked {
                    return looked.clone();
                },
                () = sleep(late_in) => {}
            }
        }
    }

    /// Joins the look that is running, or starts one on the caller's runtime.
    fn join_look(&self, core: &Arc<Core>) -> Result<(Receiver<Looked>, Duration), Error> {
        let (runtime, now) = (runtime()?, core.now());
        let mut looks = self.first_look.looks.lock();
        if let Some((look, begun)) = &looks.current
            && look.get().is_none()
            && !look.is_closed()
        {
            let late_in = LATE.saturating_sub(now.since(*begun));
            if !late_in.is_zero() {
                return Ok((look.clone(), late_in));
            }
        }
        let (done, look) = once::channel();
        looks.current = Some((look.clone(), now));
        // Do not spawn under the lock: a runtime that has ended drops the task in this call.
        drop(looks);
        runtime.spawn(run(core.clone(), done));
        if look.is_closed() {
            let text = "reading the shared store needs a tokio runtime, and there is none here";
            return Err(Error::new(ErrorKind::NoRuntime, text));
        }
        Ok((look, LATE))
    }

    async fn look_first(&self, core: &Arc<Core>) -> Looked {
        let asked = core.now();
        let looked = self.adopt_defaults(core).await;
        let is_done = match &looked {
            Ok(()) => true,
            // Without the store, go on with the present defaults, and follow the group once the store is back.
            Err(error) => error.kind() == ErrorKind::Store && self.goes_on_without_store(),
        };
        if !is_done {
            return looked;
        }
        self.first_look.looked(asked);
        self.first_look.is_done.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn adopt_defaults(&self, core: &Arc<Core>) -> Looked {
        let Some((following, _, seal)) = self.present_group(core) else {
            return Ok(());
        };
        let found = timeout(STEP, self.read_defaults(core, &seal)).await;
        let found = found.unwrap_or_else(|_| Err(too_slow(STEP)))?;
        let Some(others) = found.into_state() else {
            return Ok(());
        };
        let _one_at_a_time = following.changing.lock().await;
        let Some(manager) = following.manager() else {
            return Ok(());
        };
        let now = following.book().with(&others, &following.home);
        match manager.begin_with_defaults(now) {
            Ok(()) => following.book().adopt(&others),
            Err(_) => refuse(core, seal.slot),
        }
        Ok(())
    }

    /// Reads what other processes have changed, and switches to it. Writes the changes again if the store has lost them
    /// or will soon remove them.
    pub(in crate::driver::fleet) async fn follow_defaults(
        &self,
        core: &Arc<Core>,
    ) -> Result<(), Error> {
        let Some((following, _, seal)) = self.present_group(core) else {
            return Ok(());
        };
        let asked = core.now();
        let found = self.read_defaults(core, &seal).await.inspect_err(|_| {
            // The heartbeat tries again, so that no request waits for the store.
            if self.goes_on_without_store() {
                self.first_look.looked(asked);
            }
        })?;
        let generation = found.generation;
        let group = self.publish_defaults(core, following, &seal, found).await?;
        if following
            .book()
            .with(&group, &following.home)
            .validate()
            .is_err()
        {
            // This version of the crate does not accept the group's defaults. The process that changed them runs
            // another version.
            if self.is_first_refusal(seal.slot, generation) {
                refuse(core, seal.slot);
            }
            return Ok(());
        }
        // If the heartbeat calls this while there is no session, it begins no look at a slot until this ends, not even
        // for a session that the switch creates. So the wait is bounded, and the rest is done next time.
        let switched = timeout(self.interval(), switch(core, following, &group));
        let Ok(switched) = switched.await else {
            return Ok(());
        };
        switched.inspect(|()| self.first_look.looked(asked))
    }

    fn goes_on_without_store(&self) -> bool {
        self.sharing.on_store_down == OnStoreDown::OwnSession
    }
}

/// The task of one look.
async fn run(core: Arc<Core>, done: Sender<Looked>) {
    let Some(inner) = core.fleet.inner() else {
        return;
    };
    tokio::select! {
        biased;
        _ = core.closed() => {}
        looked = inner.look_first(&core) => done.send(looked),
    }
}

/// Switches to the defaults that other processes have changed. A change that the user makes here meanwhile is kept.
async fn switch(core: &Arc<Core>, following: &Following, group: &LwwDefaults) -> Result<(), Error> {
    let mut made = None;
    while let Some(missing) = try_switch(following, group, made).await? {
        made = core.warm_up(&missing).await;
        if made.is_none() {
            sleep(FLOOR).await;
        }
    }
    Ok(())
}

/// Tries to switch. Returns the partition if it needs a session first.
async fn try_switch(
    following: &Following,
    group: &LwwDefaults,
    made: Option<Outcome>,
) -> Result<Option<Arc<Partition>>, Error> {
    let _one_at_a_time = following.changing.lock().await;
    let Some(manager) = following.manager() else {
        return Ok(None);
    };
    let now = following.book().with(group, &following.home);
    let missing = manager.try_follow(now, made)?;
    if missing.is_none() {
        following.book().adopt(group);
    }
    Ok(missing)
}

fn too_slow(limit: Duration) -> Error {
    let text = format!("the shared store did not return the defaults within {limit:?}");
    Error::new(ErrorKind::Store, text)
}
