//! What is held back for all keys while nobody can connect to the server.
//!
//! The first create that gives up spares the others the wait: until its pause is over, they fail at once. Then one of them finds out
//! whether the server is there again, while the others go on failing at once.

use std::time::Duration;

use super::{Clearance, Gate, check::over_budget};
use crate::{
    clock::Reading,
    engine::cooldown::{Cooldown, hold, hold_all},
    error::Error,
    model::{budget::Purpose, partition::Partition},
};

/// When to ask again while another create is finding out.
const SOON: Duration = Duration::from_secs(1);
/// The least time between two calls that are tried again, of all keys: many tenants that wait for one server use up no budget.
const RETRY_FLOOR: Duration = Duration::from_secs(1);

/// Calls and the free question fail apart: something in front of the server may answer one of them only.
#[derive(Clone, Debug, Default)]
pub(super) struct Unreachable {
    calls: Option<Cooldown>,
    questions: Option<Cooldown>,
    /// Nobody waits for these: a create is tried all the same.
    deletes: Option<Cooldown>,
    /// When a call was last tried again.
    retried: Option<Reading>,
}

impl Unreachable {
    fn holds(&self, purpose: Purpose) -> impl Iterator<Item = &Cooldown> {
        let holds = match purpose {
            Purpose::Create | Purpose::Check => [self.calls.as_ref(), None],
            Purpose::Question => [self.questions.as_ref(), None],
            Purpose::Delete => [self.calls.as_ref(), self.deletes.as_ref()],
            // It has no other time.
            Purpose::LastDelete => [None, None],
        };
        holds.into_iter().flatten()
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Cooldown> {
        [&mut self.calls, &mut self.questions].into_iter().flatten()
    }
}

impl<W: Clone> Gate<W> {
    /// A create or a delete gives up, because nobody can connect to the server. Returns the error with when another try is due.
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
            // Less often than creates, for which somebody may wait.
            Purpose::Delete | Purpose::LastDelete => return hold(&mut holds.deletes, error, now),
            Purpose::Create | Purpose::Check => {
                // While creates find out, no delete has to.
                hold(&mut holds.deletes, error.clone(), now);
                &mut holds.calls
            }
        };
        hold_all(place, error, now)
    }

    /// Counts a call that is tried again while nobody can connect to the server, or says how long it has to wait.
    pub(crate) fn retry_reach(&mut self, now: Reading) -> Option<Clearance> {
        let last = self.unreachable.retried;
        let left = last.map(|last| RETRY_FLOOR.saturating_sub(now.since(last)));
        let left = left.filter(|left| !left.is_zero());
        if left.is_none() {
            self.unreachable.retried = Some(now);
        }
        left.map(|left| Clearance::Wait(left, over_budget(left)))
    }

    /// The server has answered.
    pub(crate) fn reached(&mut self) {
        self.unreachable = Unreachable::default();
    }

    /// The server is there, and health alone cannot be reached: the question is no way to find out. Returns whether calls are held
    /// back as well.
    pub(crate) fn questions_go_unanswered(&mut self) -> bool {
        self.unreachable.questions = None;
        self.unreachable.calls.is_some()
    }

    /// Whether a create has a chance to get through. `create` is the generation of the create that asks, if it is one.
    ///
    /// # Errors
    ///
    /// Why the server cannot be connected to.
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

    /// This create is about to find out whether the server is there again, if anybody has to.
    pub(super) fn probe_reach(&mut self, purpose: Purpose, create: u64, now: Reading) {
        let place = match purpose {
            Purpose::Question => &mut self.unreachable.questions,
            _ => &mut self.unreachable.calls,
        };
        if let Some(hold) = place {
            hold.begin_probe(create, now);
        }
    }

    /// Whether this create finds out for all.
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
