//! The end of a create: its session becomes the current one, or the failure is reported.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::Create;
use crate::{
    clock::Reading,
    driver::{flight::Outcome, stage::Stage},
    engine::attempt::Effect,
    error::Error,
    hot::session::LiveSession,
    model::{event::Event, reason::RetireReason},
};

impl Create {
    pub(super) fn land(&mut self, outcome: Outcome) {
        let core = self.core.clone();
        let (event, effects) = {
            // Hold one lock over all of it, so that the next caller finds either this create or its session.
            let mut gate = core.gate();
            let came = outcome.as_ref().map(|session| session.alive_at());
            let whose = (&*self.partition, &mut *gate);
            let current = self.attempt.land(came, whose, core.now());
            let effects = self.settle(false);
            let event = match &outcome {
                Ok(session) => self.succeed(session, current),
                Err(error) => self.fail(error, current),
            };
            (self.attempt.is_news(&outcome).then_some(event), effects)
        };
        for effect in effects {
            self.carry_out(effect);
        }
        if let Some(event) = event {
            core.observer.landed(event, core.now().since(self.begun));
        }
        if let Some(done) = self.done.take() {
            done.send(outcome);
        }
    }

    /// Marks the create as ended, and retires adopted sessions that are not used. `calling` says whether a call was on
    /// its way. Returns the effects that were not carried out yet, as after a panic. The caller holds the gate's lock
    /// during this call, and carries out these effects without it.
    fn settle(&mut self, calling: bool) -> Vec<Effect<Arc<LiveSession>>> {
        if !calling && self.status.given_up.load(Ordering::Acquire) {
            // This create was given up before and counted as a possible orphan, but has ended after all. Take that
            // back: its session is known, or was counted in another way.
            self.core.observer.take_back_orphan();
        }
        self.landed = true;
        let mut left = Vec::new();
        while let Some(effect) = self.attempt.next_effect() {
            match effect {
                Effect::LetGo(session) => self.core.let_go(&session),
                effect => left.push(effect),
            }
        }
        left
    }

    /// Installs or retires the session of this create. `current` says whether the create was still the one for its
    /// partition.
    fn succeed(&self, session: &Arc<LiveSession>, current: bool) -> Event {
        let core = &self.core;
        core.suspicion.calm();
        let reference = session.reference();
        if self.attempt.suspect().is_some() && !self.attempt.is_adopted() {
            // This create has only checked the current session. If the create was fenced off, that session is retired
            // already.
            if self.holds_renewal {
                session.renew_again_at(Duration::ZERO);
            }
            return Event::Verified { session: reference };
        }
        let mut replaces = None;
        if !current {
            core.retirement.retire(session, RetireReason::Fenced);
            if !self.attempt.is_adopted() {
                core.fleet.retired(session, RetireReason::Fenced);
            }
        } else if core.stage() != Stage::Open {
            core.retirement.retire(session, RetireReason::Shutdown);
        } else {
            replaces = core.install(session).map(|before| before.reference());
        }
        let usable_for = session.life.usable_for(core.now());
        let defaults = session.partition.defaults.clone();
        if self.attempt.is_adopted() {
            return Event::Adopted {
                session: reference,
                defaults,
                replaces,
                usable_for,
            };
        }
        Event::Created {
            session: reference,
            defaults,
            replaces,
            usable_for,
        }
    }

    fn fail(&self, error: &Error, current: bool) -> Event {
        let (core, error, now) = (&self.core, error.clone(), self.core.now());
        let session = core.cached(self.partition.id);
        let Some(session) = session.filter(|session| current && session.is_usable(now)) else {
            return Event::CreateFailed {
                api_key: self.partition.key.fingerprint(),
                defaults: self.partition.defaults.clone(),
                error,
            };
        };
        let pause = error.next_attempt_in().unwrap_or_default();
        session.renew_again_at(now.monotonic.saturating_add(pause));
        let reference = session.reference();
        if self.attempt.suspect().is_some() {
            return Event::CheckFailed {
                session: reference,
                error,
            };
        }
        renewal_failed(&session, error, now)
    }
}

pub(super) fn renewal_failed(session: &LiveSession, error: Error, now: Reading) -> Event {
    Event::RenewalFailed {
        session: session.reference(),
        usable_for: session.life.usable_for(now),
        error,
    }
}

impl Drop for Create {
    fn drop(&mut self) {
        if self.landed {
            return;
        }
        // The create ended half-way: its runtime ended, the last handle is gone, or it was fenced off.
        let core = self.core.clone();
        let calling = self.status.calling.load(Ordering::Acquire);
        let effects = {
            let mut gate = core.gate();
            self.attempt.drop_out((&self.partition, &mut gate));
            self.settle(calling)
        };
        for effect in effects {
            self.carry_out(effect);
        }
        if let Some(session) = core.cached(self.partition.id) {
            if self.attempt.suspect().is_some() {
                session.renew_again_at(Duration::ZERO);
            } else {
                session.renew_later(core.now());
            }
        }
        if calling && !self.status.given_up.load(Ordering::Acquire) {
            core.emit(self.partition.possible_orphan(None));
        }
        core.wake_reaper();
    }
}
