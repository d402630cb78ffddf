//! Carries out what an attempt decides, and waits for what it needs.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::futures::Notified, time::sleep};

use super::{Create, Fenced, complete::renewal_failed};
use crate::{
    clock::Reading,
    driver::{
        core::Core,
        flight::{Outcome, Step},
        log,
    },
    engine::attempt::{Context, Effect, Facts, Input},
    hot::session::LiveSession,
    model::{event::Event, life::Phase, reason::RetireReason},
};

impl Create {
    /// Runs the create until it has an outcome: asks the fleet, waits for its turn, and makes the call.
    pub(super) async fn fly(&mut self) -> Result<Outcome, Fenced> {
        let core = self.core.clone();
        let mut input = Input::Begun(core.with_rng(|rng| rng.u64(..)));
        loop {
            // Subscribe before the decision, so that no change after the decision is missed.
            let changed = core.outage.changed();
            input = match self.decide(input) {
                Step::Ended(outcome) => return outcome,
                // The first input ended this step, and no step leads back to it.
                Step::Begun => return Err(Fenced),
                Step::Queued(queued) => wait(&core, queued.until, changed).await,
                Step::Pausing(pause) => wait(&core, pause.until, changed).await,
                Step::Sharing => Input::Shared(self.share().await),
                Step::Asking(suspect) => Input::Said(self.ask_in_time(&suspect).await),
                Step::AskingOldest(suspect) => {
                    Input::SaidOfOldest(self.ask_for_oldest(&suspect).await)
                }
                Step::Checking(suspect) => Input::Checked(self.check_suspect(&suspect).await),
                Step::Telling(suspect, found) => {
                    self.stood_in((suspect, found.is_ok(), self.asked)).await;
                    Input::Told
                }
                Step::Calling => Input::Called(self.call().await),
                Step::Publishing(session) => Input::Published(self.publish(&session).await),
            };
        }
    }

    /// Passes an input to the attempt, and carries out the effects. Returns the step to wait for next.
    fn decide(&mut self, input: Input<Arc<LiveSession>>) -> Step {
        let (core, tries) = (self.core.clone(), self.attempt.tries());
        {
            let (mut gate, now) = (core.gate(), core.now());
            let mut cx = Context {
                partition: &self.partition,
                gate: &mut gate,
                facts: self.facts(now),
                now,
            };
            self.attempt.handle(input, &mut cx);
        }
        while let Some(effect) = self.attempt.next_effect() {
            self.carry_out(effect);
        }
        if self.attempt.tries() > tries {
            log::tries(self.attempt.tries());
        }
        let calling = self.attempt.is_calling();
        self.status.calling.store(calling, Ordering::Release);
        self.attempt.step().clone()
    }

    fn facts(&self, now: Reading) -> Facts<Arc<LiveSession>> {
        let core = &self.core;
        let is_over = |suspect: &Arc<LiveSession>| suspect.phase(now) == Phase::Over;
        let current = core.cached(self.partition.id);
        let evidence = core.inquiry.evidence();
        Facts {
            current: current.filter(|current| current.is_usable(now)),
            is_over: self.attempt.suspect().is_some_and(is_over),
            signs: core.suspicion.signs(),
            is_told: evidence.is_told(),
            may_go_on_untold: evidence.may_go_on_untold(),
            is_outage: core.outage.is_on(),
            answered: core.outage.last_answer(),
        }
    }

    pub(super) fn carry_out(&mut self, effect: Effect<Arc<LiveSession>>) {
        let core = self.core.clone();
        match effect {
            Effect::GiveUp {
                session,
                reason,
                metered,
            } => core.give_up_suspect(&session, reason, metered),
            Effect::LetGo(session) => core.let_go(&session),
            Effect::NotMetered => self.standing_in = None,
            Effect::MeteredInVain(since) => {
                self.end_standing_in();
                core.metered_in_vain(since);
            }
            Effect::CheckFailed { session, error } => {
                let session = session.reference();
                core.emit(Event::CheckFailed { session, error });
            }
            Effect::RenewalFailed { session, error } => {
                core.emit(renewal_failed(&session, error, core.now()));
            }
        }
    }
}

impl Core {
    /// Retires an adopted session that is not used after all.
    pub(super) fn let_go(&self, session: &Arc<LiveSession>) {
        self.fleet.spend(session);
        self.retirement.retire(session, RetireReason::Fenced);
    }
}

/// Waits until the time `until`. Ends early when another create gives up, or when the server answers again.
async fn wait(core: &Core, until: Duration, changed: Notified<'_>) -> Input<Arc<LiveSession>> {
    tokio::select! {
        biased;
        _ = core.closed() => Input::Closed,
        () = changed => Input::Woken,
        () = sleep(until.saturating_sub(core.uptime())) => Input::Due,
    }
}
