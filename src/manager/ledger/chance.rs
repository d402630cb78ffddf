//! Whether a create or a check would have a chance, without counting it.

use std::time::Duration;

use super::{Ledger, over_budget};
use crate::{
    clock::Reading,
    error::{Error, ErrorKind},
    manager::{budget::Purpose, partition::Partition},
};

impl Ledger {
    /// Decides whether a create, or a check, would have a chance to be called within `patience`, without counting it.
    ///
    /// # Errors
    ///
    /// What holds it back.
    pub(crate) fn check(
        &mut self,
        partition: &Partition,
        purpose: Purpose,
        patience: Duration,
        now: Reading,
    ) -> Result<(), Error> {
        self.check_holds(partition, purpose, now)?;
        if let Some(hold) = self
            .origin
            .as_ref()
            .filter(|hold| hold.left(now) > patience)
        {
            return Err(hold.error(now));
        }
        let queued = self.queue.len(now);
        let wait = self.bucket.wait_for(queued + 1, now.monotonic);
        if wait > patience {
            Err(over_budget(wait))
        } else {
            Ok(())
        }
    }

    /// The same for the question whether a session of this partition is alive, which costs nothing at first.
    ///
    /// # Errors
    ///
    /// What holds it back.
    pub(crate) fn check_hold(&self, partition: &Partition, now: Reading) -> Result<(), Error> {
        let entry = self.partitions.get(&partition.id);
        let hold = entry.and_then(|entry| entry.hold(Purpose::Question));
        match hold.filter(|hold| hold.is_active(now)) {
            Some(hold) => Err(hold.error(now)),
            None => Ok(()),
        }
    }

    /// The same as far as it concerns this partition and its key.
    ///
    /// # Errors
    ///
    /// What holds it back.
    pub(crate) fn check_holds(
        &self,
        partition: &Partition,
        purpose: Purpose,
        now: Reading,
    ) -> Result<(), Error> {
        let entry = self.partitions.get(&partition.id);
        if purpose == Purpose::Create {
            let left = entry.map(|entry| entry.wrong.left(now));
            wrong_again(left.unwrap_or_default())?;
        }
        let own = entry.and_then(|entry| entry.hold(purpose));
        let holds = [own, self.key_hold(partition)];
        // A failure that concerns only them is theirs at once; only the pace of all is worth waiting for.
        match holds.into_iter().flatten().find(|hold| hold.is_active(now)) {
            Some(hold) => Err(hold.error(now)),
            None => Ok(()),
        }
    }

    /// An answer to the session of this generation was for another chain, after it was given to so many requests.
    pub(crate) fn answered_wrong(
        &mut self,
        partition: &Partition,
        (generation, uses): (u64, u64),
        now: Reading,
    ) {
        let entry = self.partitions.entry(partition.id).or_default();
        entry.wrong.note(generation, uses, now);
    }
}

/// Says for how long no session is made in place of one whose answers were wrong.
fn wrong_again(left: Duration) -> Result<(), Error> {
    if left.is_zero() {
        return Ok(());
    }
    let text = "one session after another was answered under other defaults, so that the next one is made later; \
                does a proxy take `X-Session-Id` away, or are there servers that do not share their sessions?";
    Err(Error::new(ErrorKind::WrongDefaults, text).with_retry_after(left))
}
