//! Cooldowns for all keys while nobody can connect to the server.
//!
//! The first create that gives up begins the cooldown. Until it is over, all others fail at once instead of waiting for
//! the same failure. Then one create *probes* the server, while the others still fail at once.

use std::time::Duration;

use super::{Clearance, Gate, check::over_budget};
use crate::{
    clock::Reading,
    engine::cooldown::{Cooldown, hold, hold_all},
    error::Error,
    model::{budget::Purpose, partition::Partition},
};

/// When a call may be tried again, if it is held back because another create is probing.
const SOON: Duration = Duration::from_secs(1);
/// The shortest time between two retries, for all keys together. Without it, the creates of many tenants that wait for
/// the same server would use up the call budget.
const RETRY_FLOOR: Duration = Duration::from_secs(1);

/// The cooldowns while nobody can connect. Those for session calls and for `GET /v1/health` are kept apart, because a
/// gateway may refuse only one of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Unreachable {
    /// The cooldown for creates and checks. It holds back deletes too.
    calls: Option<Cooldown>,
    /// The cooldown for calls of `GET /v1/health`.
    questions: Option<Cooldown>,
    /// The cooldown for deletes. It does not hold back creates: no request waits for a delete, so it may be longer.
    deletes: Option<Cooldown>,
    /// When a call of any key was last retried.
    retried: Option<Reading>,
}

impl Unreachable {
    fn holds(&self, purpose: Purpose) -> impl Iterator<Item = &Cooldown> {
        let holds = match purpose {
            Purpose::Create | Purpose::Check => [self.calls.as_ref(), None],
            Purpose::Question => [self.questions.as_ref(), None],
            Purpose::Delete => [self.calls.as_ref(), self.deletes.as_ref()],
            // The last deletes, at shutdown, are never held back: there is no later time for them.
            Purpose::LastDelete => [None, None],
        };
        holds.into_iter().flatten()
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Cooldown> {
        [&mut self.calls, &mut self.questions].into_iter().flatten()
    }
}

impl<W: Clone> Gate<W> {
    /// Begins a cooldown after a create, a check or a delete has given up because nobody can connect to the server.
    /// Returns the error with the time of the next try.
    pub(crate) fn unreachable(
        &mut self,
        partition: &Partition,
        purpose: Purpose,
        error: Error,
        now: Reading,
    ) -> Error {
        if let Some(Some(hold)) = self.keys.get_mut(&partition.key_id) {
            hold.end_probe();
        }
        let holds = &mut self.unreachable;
        let place = match purpose {
            Purpose::Question => &mut holds.questions,
            // Deletes get a longer cooldown than creates, for which requests may wait.
            Purpose::Delete | Purpose::LastDelete => return hold(&mut holds.deletes, error, now),
            Purpose::Create | Purpose::Check => {
                // Hold back deletes as well: creates find out sooner whether the server can be reached.
                hold(&mut holds.deletes, error.clone(), now);
                &mut holds.calls
            }
        };
        hold_all(place, error, now)
    }

    /// Counts a retry while nobody can connect to the server, or returns how long it has to wait.
    pub(crate) fn retry_reach(&mut self, now: Reading) -> Option<Clearance> {
        let last = self.unreachable.retried;
        let left = last.map(|last| RETRY_FLOOR.saturating_sub(now.since(last)));
        let left = left.filter(|left| !left.is_zero());
        if left.is_none() {
            self.unreachable.retried = Some(now);
        }
        left.map(|left| Clearance::Wait(left, over_budget(left)))
    }

    /// Ends all cooldowns for connections, because the server has answered.
    pub(crate) fn reached(&mut self) {
        self.unreachable = Unreachable::default();
    }

    /// Ends the cooldown for `GET /v1/health`. Called if health alone cannot be reached: its failures then say nothing
    /// about the server. Returns whether session calls are held back as well.
    pub(crate) fn questions_go_unanswered(&mut self) -> bool {
        self.unreachable.questions = None;
        self.unreachable.calls.is_some()
    }

    /// Checks whether a call may be made as far as the server can be reached. `create` is the generation of the create
    /// that asks, or `None` if no create asks.
    ///
    /// # Errors
    ///
    /// Returns why nobody can connect to the server.
    pub(crate) fn check_reach(
        &self,
        purpose: Purpose,
        create: Option<u64>,
        now: Reading,
    ) -> Result<(), Error> {
        let in_the_way = |hold: &Cooldown| {
            if hold.is_active(now) {
                return Some(hold.error(now));
            }
            let is_probed = hold.is_probed_by_another(create, now);
            is_probed.then(|| hold.error(now).with_retry_after(SOON))
        };
        let error = self.unreachable.holds(purpose).find_map(in_the_way);
        error.map_or(Ok(()), Err)
    }

    /// Records that this create probes the server, if there is a cooldown to probe.
    pub(super) fn probe_reach(&mut self, purpose: Purpose, create: u64, now: Reading) {
        let place = match purpose {
            Purpose::Question => &mut self.unreachable.questions,
            _ => &mut self.unreachable.calls,
        };
        if let Some(hold) = place {
            hold.begin_probe(create, now);
        }
    }

    /// Returns whether this create probes the server while all others fail at once.
    pub(crate) fn probes_reach(&self, create: u64) -> bool {
        let holds = [&self.unreachable.calls, &self.unreachable.questions];
        holds
            .into_iter()
            .flatten()
            .any(|hold| hold.is_probed_by(create))
    }

    pub(super) fn end_probe_of_reach(&mut self, create: u64) {
        for hold in self.unreachable.all_mut() {
            if hold.is_probed_by(create) {
                hold.end_probe();
            }
        }
    }
}
