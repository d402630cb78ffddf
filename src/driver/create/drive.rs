//! Carries out what an attempt decides, and waits for what it waits for.

use std::{
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::futures::Notified, time::sleep};

use super::{Create, Fenced, complete::renewal_failed};
use crate::{
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
    /// Asks the fleet, waits for its turn, and calls until there is an outcome.
    pub(super) async fn fly(&mut self) -> Result<Outcome, Fenced> {
        let core = self.core.clone();
        let mut input = Input::Begun;
        loop {
            // Before the decision: what another gives up after it is not missed.
            let changed = core.outage.changed();
            input = match self.decide(input) {
                Step::Ended(outcome) => return outcome,
                Step::Begun => Input::Begun,
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

    /// Hands in what has come, and does what follows at once. Returns what is waited for next.
    fn decide(&mut self, input: Input<Arc<LiveSession>>) -> Step {
        let core = self.core.clone();
        {
            let mut gate = core.gate();
            let (facts, now) = (self.facts(), core.now());
            core.with_rng(|rng| {
                let mut cx = Context {
                    partition: &self.partition,
                    gate: &mut gate,
                    rng,
                    facts,
                    now,
                };
                self.attempt.handle(input, &mut cx);
            });
        }
        let calling = self.attempt.is_calling();
        self.status.calling.store(calling, Ordering::Release);
        log::tries(self.attempt.tries());
        self.carry_out_effects();
        self.attempt.step().clone()
    }

    pub(super) fn carry_out_effects(&mut self) {
        while let Some(effect) = self.attempt.next_effect() {
            self.carry_out(effect);
        }
    }

    fn facts(&self) -> Facts<Arc<LiveSession>> {
        let (core, now) = (&self.core, self.core.now());
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

    fn carry_out(&mut self, effect: Effect<Arc<LiveSession>>) {
        let core = self.core.clone();
        match effect {
            Effect::GiveUp {
                session,
                reason,
                metered,
            } => core.give_up_suspect(&session, reason, metered),
            Effect::LetGo(session) => {
                core.fleet.spend(&session);
                core.retirement.retire(&session, RetireReason::Fenced);
            }
            Effect::NotMetered => self.standing_in = None,
            Effect::MeteredInVain(since) => {
                self.stands_in_no_more();
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

/// Waits until then, or until another create gives up or the server answers again.
async fn wait(core: &Core, until: Duration, changed: Notified<'_>) -> Input<Arc<LiveSession>> {
    let mut due = pin!(sleep(until.saturating_sub(core.uptime())));
    tokio::select! {
        biased;
        _ = core.closed() => Input::Closed,
        () = changed => Input::Woken,
        () = &mut due => Input::Due,
    }
}
