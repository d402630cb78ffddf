//! Decides what follows from an observation: whether to call `GET /v1/health`, and whether requests wait for the
//! answer.
//!
//! Such a call is a *question*. A cause is *owed* from when it was seen until a question is asked because of it. A sign
//! is *damped* shortly after a false alarm: it holds no requests, but stays owed.

use std::time::Duration;

use super::Evidence;
use crate::{clock::Reading, model::evidence::Cause};

/// What follows from an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[must_use]
pub(crate) enum Reaction {
    Nothing,
    /// Call `GET /v1/health` while requests go on.
    Ask,
    /// Hold all requests that need a session until the server was asked.
    Hold,
}

impl Evidence {
    /// Records an observation that may mean a restart, and returns what follows. A sign from here counts as a failed
    /// call.
    pub(crate) fn raise(&mut self, cause: Cause, now: Reading) -> Reaction {
        if cause >= Cause::Sign {
            (self.failed, self.well_since) = (Some(now), None);
        }
        self.weigh(cause, now)
    }

    /// Like `raise`, for an observation that is not a failed call, such as a new rate-limit window.
    pub(super) fn weigh(&mut self, cause: Cause, now: Reading) -> Reaction {
        let is_routine_due = self.routine.due_in(now).is_zero();
        let reaction = match cause {
            Cause::Sign if self.is_damped(now) => Reaction::Nothing,
            Cause::Sign | Cause::Broken => Reaction::Hold,
            Cause::Hint | Cause::Unproven if self.asking.is_some() => Reaction::Nothing,
            Cause::Hint if is_routine_due => Reaction::Ask,
            Cause::Unproven if is_routine_due => Reaction::Hold,
            Cause::Hint | Cause::Unproven => Reaction::Nothing,
        };
        self.owed = self.owed.max(Some(cause));
        self.owed_at = Some(now.monotonic);
        reaction
    }

    /// Returns what is due before a request starts: a question because of an owed cause, or because no answer has
    /// proved the process for `verify_after`.
    pub(crate) fn look(&mut self, now: Reading) -> Reaction {
        if self.asking.is_some() {
            return Reaction::Nothing;
        }
        let is_stale = self.stale_in(now).is_zero();
        let causes = [self.owed, is_stale.then_some(Cause::Unproven)];
        let reactions = causes
            .into_iter()
            .flatten()
            .map(|cause| self.weigh(cause, now));
        reactions.max().unwrap_or(Reaction::Nothing)
    }

    /// Returns how long until [`look`](Self::look) can return something else. Requests need not call it before.
    pub(crate) fn look_in(&self, now: Reading) -> Duration {
        let routine = self.routine.due_in(now);
        let stale = self.stale_in(now).max(routine);
        let owed = self.owed.map(|cause| match cause {
            Cause::Sign | Cause::Broken => self.damped_for(now),
            Cause::Hint | Cause::Unproven => routine,
        });
        owed.unwrap_or(stale).min(stale)
    }

    /// Returns how long until the last proof of the process is older than `verify_after`.
    fn stale_in(&self, now: Reading) -> Duration {
        let left = |proven| self.verify_after.saturating_sub(now.since(proven));
        self.proven.map(left).unwrap_or_default()
    }

    /// Returns whether requests do not wait because of a new sign. This is so for a while after a false alarm, and
    /// while a question about an earlier sign is in flight.
    fn is_damped(&self, now: Reading) -> bool {
        self.asking >= Some(Cause::Sign) || !self.damped_for(now).is_zero()
    }

    /// Returns for how much longer the last false alarm damps signs.
    pub(super) fn damped_for(&self, now: Reading) -> Duration {
        let left = |(at, floor): (Reading, Duration)| floor.saturating_sub(now.since(at));
        self.false_alarm.map(left).unwrap_or_default()
    }

    /// Returns how long until requests may wait for a question again.
    pub(crate) fn may_ask_in(&self, now: Reading) -> Duration {
        self.breaks.due_in(now)
    }

    /// Records that a question asked because of this cause found nothing, so that the cause was a false alarm.
    pub(super) fn was_for_nothing(&mut self, cause: Cause, now: Reading) {
        match cause {
            Cause::Hint | Cause::Unproven => self.routine.for_nothing(),
            Cause::Sign | Cause::Broken => {
                self.false_alarm = Some((now, self.alarms.floor()));
                self.alarms.for_nothing();
            }
        }
    }
}
