//! What comes of a create: its session becomes the current one, or it is told why there is none.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{Create, Progress};
use crate::{
    clock::Reading,
    driver::{
        flight::{Gate, Outcome},
        stage::Stage,
    },
    error::Error,
    hot::session::LiveSession,
    model::{event::Event, evidence::Cause, reason::RetireReason, sign},
};

impl Create {
    pub(super) fn land(&mut self, outcome: Outcome) {
        let core = self.core.clone();
        let event = {
            // One lock over all of it: whoever asks next finds either this create or its session.
            let mut gate = core.gate();
            self.calling(false);
            let current = self.end(&mut gate);
            match &outcome {
                Ok(session) => {
                    match self.suspect {
                        Some(_) => gate.checked(&self.partition, core.now()),
                        None => gate.succeeded(&self.partition, session.alive_at()),
                    }
                    Some(self.succeed(session, current))
                }
                Err(error) => {
                    gate.note_store_error(self.partition.id, error, core.now());
                    self.let_adopted_go();
                    // Of a check that a hold keeps from being made, the failure that holds has been told.
                    let is_news = self.suspect.is_none() || !error.is_held_back();
                    let event = self.fail(error, current);
                    is_news.then_some(event)
                }
            }
        };
        if let Some(event) = event {
            core.observer.landed(event, core.now().since(self.begun));
        }
        if let Some(done) = self.done.take() {
            done.send(outcome);
        }
    }

    /// Strikes the create from the gate; returns whether it was still the one for its partition.
    fn end(&mut self, gate: &mut Gate) -> bool {
        if self.progress != Progress::Calling && self.status.given_up.load(Ordering::Acquire) {
            // It ended after all, and what came of it is known or counted.
            self.core.observer.take_back_orphan();
        }
        self.progress = Progress::Landed;
        gate.end(self.partition.id, self.generation)
    }

    /// `current` says whether this create was still the one to bring a session for its partition.
    fn succeed(&self, session: &Arc<LiveSession>, current: bool) -> Event {
        let core = &self.core;
        core.suspicion.calm();
        let reference = session.reference();
        if self.suspect.is_some() && !self.adopted {
            // If it is fenced, whoever did that has retired it.
            if self.holds_renewal {
                session.renew_again_at(Duration::ZERO);
            }
            return Event::Verified { session: reference };
        }
        let mut replaces = None;
        if !current {
            core.retirement.retire(session, RetireReason::Fenced);
            if !self.adopted {
                core.fleet.retired(session, RetireReason::Fenced);
            }
        } else if core.stage() != Stage::Open {
            core.retirement.retire(session, RetireReason::Shutdown);
        } else {
            replaces = core.install(session).map(|before| before.reference());
        }
        let usable_for = session.life.usable_for(core.now());
        let defaults = session.partition.defaults.clone();
        if self.adopted {
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
        if self.suspect.is_some() {
            return Event::CheckFailed {
                session: reference,
                error,
            };
        }
        renewal_failed(&session, error, now)
    }

    /// The session that requests went on with, if the failure of its renewal has made it suspect.
    pub(super) fn current_after(&self, error: &Error) -> Option<Arc<LiveSession>> {
        let is_sign = self.suspect.is_none()
            && !self.turned
            && sign::in_session_call(error) >= Some(Cause::Sign);
        let current = self.core.cached(self.partition.id).filter(|_| is_sign)?;
        current.is_usable(self.core.now()).then_some(current)
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
        if self.progress == Progress::Landed {
            return;
        }
        // The task was ended half-way: by its runtime, by a panic in the transport, or because nobody wants it.
        let calling = self.progress == Progress::Calling;
        self.let_adopted_go();
        self.gives_up_standing_in();
        let core = self.core.clone();
        self.end(&mut core.gate());
        if let Some(session) = core.cached(self.partition.id) {
            if self.suspect.is_some() {
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
