//! The pause of an attempt between two calls, and what follows when it ends in time or too late.

use std::time::Duration;

use super::{Attempt, Context, Effect, Fenced, Outcome, Step};
use crate::{clock::Reading, engine::gate::Clearance, error::Error, model::failure::FLOOR};

/// A pause between two calls.
#[derive(Clone, Debug)]
pub(crate) struct Pause<S> {
    /// When the pause ends, in monotonic time.
    pub(crate) until: Duration,
    since: Reading,
    plan: Plan<S>,
}

/// What follows a pause, if it ends in time and if it does not.
#[derive(Clone, Debug)]
pub(super) struct Plan<S> {
    next: Next,
    /// The effect to carry out if the pause ends in time.
    told: Option<Effect<S>>,
    /// What the attempt does instead if there is no time left for another call.
    late: Late<S>,
    /// The session under check before the plan was made. If there is no time left, it is under check again.
    before: Option<S>,
    /// The shortest wait that the last answer allows, such as its `Retry-After`.
    least: Duration,
}

/// What the attempt does next if the pause ends in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Retries the same kind of call.
    Again,
    /// Makes another kind of call, and counts its tries from zero.
    Anew,
    /// The same, with a fresh time limit, because no call was made before.
    First,
}

/// What the attempt does if there is no time left for another call.
#[derive(Clone, Debug)]
pub(super) enum Late<S> {
    /// Ends the attempt.
    End(Outcome<S>),
    /// Retries the call that failed before the pause.
    Retry(Error),
    /// Gives the failed call up: the attempt ends, or a check turns to a create.
    GiveUp(Error),
}

impl<S> Plan<S> {
    pub(super) fn new(next: Next, late: Late<S>) -> Self {
        Self {
            next,
            told: None,
            late,
            before: None,
            least: Duration::ZERO,
        }
    }

    pub(super) fn at_least(self, least: Duration) -> Self {
        Self { least, ..self }
    }

    pub(super) fn telling(self, told: Effect<S>) -> Self {
        let told = Some(told);
        Self { told, ..self }
    }

    pub(super) fn back_to(self, before: Option<S>) -> Self {
        Self { before, ..self }
    }
}

impl<S: Clone> Attempt<S> {
    pub(super) fn pause<W: Clone>(
        &mut self,
        wait: Duration,
        plan: Plan<S>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        cx.gate.begin_pause(self.generation, cx.now);
        let pause = Pause {
            until: cx.now.monotonic,
            since: cx.now,
            plan,
        };
        if self.has_time_for(wait, cx) && self.is_held_for_all(cx) {
            return self.pause_is_due(pause, cx);
        }
        self.wait_on(pause, wait, cx)
    }

    fn has_time_for<W>(&self, wait: Duration, cx: &Context<'_, W, S>) -> bool {
        let waited = cx.now.since(self.round);
        waited.saturating_add(wait) < self.limits.timeout
    }

    fn wait_on<W: Clone>(
        &mut self,
        pause: Pause<S>,
        wait: Duration,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        if !self.has_time_for(wait, cx) {
            return self.ends_late(pause, cx);
        }
        let until = cx.now.monotonic.saturating_add(wait);
        Step::Pausing(Pause { until, ..pause })
    }

    pub(super) fn pause_is_due<W: Clone>(
        &mut self,
        pause: Pause<S>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        // A pause ends early if the server answers another request. A minimum such as `Retry-After`, which the server
        // gave this attempt, still holds.
        let left = pause.plan.least.saturating_sub(cx.now.since(pause.since));
        if !left.is_zero() && !self.is_held_for_all(cx) {
            return self.wait_on(pause, left, cx);
        }
        match self.clear(cx) {
            Err(Fenced) => {
                cx.gate.end_pause(self.generation);
                Step::Ended(Err(Fenced))
            }
            Ok(Clearance::Granted) => self.ends_in_time(pause, cx),
            Ok(Clearance::Soon) => self.wait_on(pause, FLOOR, cx),
            // Another attempt has found out that nobody can connect to the server, so waiting is pointless.
            Ok(Clearance::Wait(..)) if self.is_held_for_all(cx) => self.ends_late(pause, cx),
            Ok(Clearance::Wait(more, _)) => self.wait_on(pause, more, cx),
        }
    }

    fn ends_in_time<W: Clone>(
        &mut self,
        Pause { plan, .. }: Pause<S>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        cx.gate.end_pause(self.generation);
        self.effects.extend(plan.told);
        match plan.next {
            Next::Again => self.try_again(cx),
            Next::Anew => {
                self.tries = 0;
                self.try_again(cx)
            }
            Next::First => self.begin_round(cx),
        }
    }

    pub(super) fn ends_late<W: Clone>(
        &mut self,
        Pause { plan, .. }: Pause<S>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        cx.gate.end_pause(self.generation);
        self.suspect = plan.before;
        match plan.late {
            Late::End(outcome) => Step::Ended(Ok(outcome)),
            Late::Retry(error) => self.retry(error, cx),
            Late::GiveUp(error) => self.gives_up(error, cx),
        }
    }
}
