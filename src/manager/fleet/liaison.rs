//! The one task that keeps in touch with the store. It exists while there are sessions to be shared.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{runtime::Handle, time::sleep};

use super::{Fleet, Inner, Membership};
use crate::{
    error::Error,
    manager::{
        core::{Core, Stage},
        event::RetireReason,
        session::LiveSession,
    },
    store::{Claim, Kept, Slot},
};

/// How often every session is looked at, whatever the store tells by itself.
const LOOK: Duration = Duration::from_secs(15);
/// For how long changes are collected before they are looked at.
const COLLECT: Duration = Duration::from_millis(50);
/// How often it is tried whether a store that is down is there again.
const RETRY: Duration = Duration::from_secs(2);

impl Fleet {
    /// A session is there: sees to it that the fleet is kept in touch with.
    pub(crate) fn landed(&self, core: &Arc<Core>, session: &LiveSession) {
        let Some(inner) = self.inner() else { return };
        if session.membership().is_none() {
            inner.has_own.store(true, Ordering::Release);
        }
        self.attend(core);
    }

    /// Tells the others what only this process knows. It shuts down.
    pub(crate) async fn last_words(&self, core: &Arc<Core>) {
        if let Some(inner) = self.inner() {
            // Whoever does not hear of it finds out by itself, later.
            let _ = inner.send_revocations(core).await;
            let _ = inner.tell_defaults(core).await;
        }
    }

    /// Starts the task, if it is needed and there is a runtime.
    pub(super) fn attend(&self, core: &Arc<Core>) {
        let (Some(inner), Ok(runtime)) = (self.inner(), Handle::try_current()) else {
            return;
        };
        if core.stage() == Stage::Open && !inner.attended.swap(true, Ordering::AcqRel) {
            let attendance = Attendance {
                core: core.clone(),
                is_ours: true,
            };
            runtime.spawn(run(attendance));
        }
    }
}

/// However the task ends, also with its runtime, another may begin.
struct Attendance {
    core: Arc<Core>,
    /// Another has not taken over.
    is_ours: bool,
}

impl Drop for Attendance {
    fn drop(&mut self) {
        if let Some(inner) = self.core.fleet.inner().filter(|_| self.is_ours) {
            inner.attended.store(false, Ordering::Release);
        }
    }
}

async fn run(mut attendance: Attendance) {
    let core = &attendance.core;
    let Some(fleet) = core.fleet.inner() else {
        return;
    };
    tokio::select! {
        biased;
        // A shutdown takes leave by itself.
        _ = core.closed() => {}
        () = async {
            loop {
                fleet.keep_in_touch(core).await;
                fleet.attended.store(false, Ordering::Release);
                // What came since the last look has found somebody here.
                let is_needed = !(fleet.joined().is_empty() && fleet.own(core).is_empty());
                if !is_needed || fleet.attended.swap(true, Ordering::AcqRel) {
                    attendance.is_ours = false;
                    break;
                }
            }
        } => {}
    }
}

impl Inner {
    async fn keep_in_touch(&self, core: &Arc<Core>) {
        let mut changes = self.store().changes();
        // The first look is for whatever was there before this task began to listen.
        let mut concerned: Option<Slot> = None;
        loop {
            let wait = match self.look(core, concerned).await {
                Ok(true) => self.interval(),
                Ok(false) => return,
                Err(_) => RETRY.min(self.interval()),
            };
            concerned = tokio::select! {
                biased;
                slot = changes.next() => {
                    // A change rarely comes alone, and one look is enough for all.
                    sleep(COLLECT).await;
                    slot.filter(|slot| !changes.has_others(*slot))
                }
                () = self.wake.notified() => None,
                () = sleep(wait) => None,
            };
        }
    }

    pub(super) fn interval(&self) -> Duration {
        LOOK.min(self.sharing.member_lease / 4)
    }

    /// Looks at the sessions of one slot, or at all; returns whether there is any left.
    async fn look(&self, core: &Arc<Core>, concerned: Option<Slot>) -> Result<bool, Error> {
        self.send_revocations(core).await?;
        // First of all: requests need them.
        let joined = self.joined();
        for session in &joined {
            let Some(place) = session.membership() else {
                continue;
            };
            if concerned.is_none_or(|slot| slot == place.slot) {
                self.keep(core, session, place).await?;
            }
        }
        let own = self.own(core);
        for session in &own {
            self.converge(core, session).await?;
        }
        // Last, as these may fail for reasons of their own.
        self.tell_defaults(core).await?;
        let of_defaults = || self.slot_of_defaults(core);
        if concerned.is_none_or(|slot| Some(slot) == of_defaults()) {
            self.follow_defaults(core).await?;
        }
        Ok(!(joined.is_empty() && own.is_empty()))
    }

    /// Says that a session is in use, and learns what has become of it.
    async fn keep(
        &self,
        core: &Arc<Core>,
        session: &Arc<LiveSession>,
        place: &Membership,
    ) -> Result<(), Error> {
        let sent = core.now();
        if !session.life.may_go_on(sent) {
            self.forget(session);
            return Ok(());
        }
        if place.has_left() {
            return Ok(());
        }
        if place.holds_for(sent).is_zero() {
            // The others may have deleted it since. It is taken up again if they have not.
            self.forget(session);
            core.retire_this(RetireReason::Lapsed, session);
            return Ok(());
        }
        // What nobody is to take up any more is not put back.
        let is_over = session.in_flight.is_retired();
        let left = session.life.left(sent);
        let record = place.record(if is_over { Duration::ZERO } else { left });
        let keep = self
            .store()
            .keep(place.slot, place.member, record, self.sharing.member_lease);
        let kept = self.step(core, keep).await?;
        place.kept(sent);
        if place.has_left() {
            // Meanwhile, and it counts as a user once more.
            self.leave(core, place).await?;
        }
        match kept {
            Kept::Newer(found) if session.is_usable(core.now()) => {
                self.replace(core, session, found, sent).await;
            }
            Kept::Revoked => {
                core.retire_this(RetireReason::Revoked, session);
            }
            Kept::Current | Kept::Newer(_) | Kept::Gone => {}
        }
        Ok(())
    }

    /// Sessions that were made while the store was down.
    fn own(&self, core: &Core) -> Vec<Arc<LiveSession>> {
        if !self.has_own.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        let (now, mut own) = (core.now(), core.sessions());
        own.retain(|session| session.membership().is_none() && session.is_usable(now));
        self.has_own.fetch_or(!own.is_empty(), Ordering::AcqRel);
        own
    }

    /// A session that was made while the store was down becomes the fleet's, or gives way to the fleet's.
    async fn converge(&self, core: &Arc<Core>, session: &Arc<LiveSession>) -> Result<(), Error> {
        let sent = core.now();
        match self.claim_for(core, session).await? {
            (Claim::Granted { .. }, _, right) => {
                if session.is_usable(core.now()) && !self.publish(core, session, &right).await {
                    core.retire_this(RetireReason::Fenced, session);
                }
            }
            (Claim::Published(found), ..) => self.replace(core, session, found, sent).await,
            // Whoever makes one publishes it.
            (Claim::Held { .. }, ..) => {}
        }
        Ok(())
    }
}
