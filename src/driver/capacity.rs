//! Limits the number of sessions.
//!
//! The manager keeps up to `max_sessions` idle sessions. A session that was used lately is not evicted, so for a while
//! there may be more. A hard limit bounds that.

use std::{collections::HashSet, time::Duration};

use super::core::Core;
use crate::{
    clock::Reading,
    driver::flight::Gate,
    engine::flight::overdue_after,
    error::{Error, ErrorKind},
    model::partition::PartitionId,
};

/// The hard limit, as a multiple of `max_sessions`.
const MOST: u64 = 10;
/// When a refused request may try again. Room is free as soon as one session was not used for a minute.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// The shortest time between two reports that there are more sessions than room.
const TOLD_FOR: Duration = Duration::from_secs(60 * 60);
/// How many pending deletes cause the first report. The next report comes when the number has doubled.
const MANY_DELETES: usize = 100;

/// Which troubles were already reported.
#[derive(Debug)]
pub(crate) struct Told {
    crowded: Option<Reading>,
    deletes_at: usize,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            crowded: None,
            deletes_at: MANY_DELETES,
        }
    }
}

impl Told {
    /// Notes that there are more sessions than room. Returns whether to report it.
    pub(crate) fn crowded(&mut self, now: Reading) -> bool {
        let is_old = |told| now.since(told) >= TOLD_FOR;
        let is_news = self.crowded.is_none_or(is_old);
        if is_news {
            self.crowded = Some(now);
        }
        is_news
    }

    /// Notes how many sessions wait to be deleted. Returns whether to report it.
    pub(crate) fn deletes(&mut self, pending: usize) -> bool {
        if pending < MANY_DELETES {
            self.deletes_at = MANY_DELETES;
        }
        let is_news = pending >= self.deletes_at;
        if is_news {
            self.deletes_at = self.deletes_at.saturating_mul(2);
        }
        is_news
    }
}

impl Core {
    /// Checks whether there is room for a session of a partition that has none.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Budget`] if there is no room.
    pub(crate) fn check_room(&self, gate: &Gate, id: PartitionId) -> Result<(), Error> {
        let max = self.settings.max_sessions;
        let most = max.saturating_mul(MOST);
        let pinned = self.retirement.all_pinned().len() as u64;
        let there = self.live.entry_count() + pinned + gate.under_way();
        // moka's entry count lags behind, and a create may be for a partition that has a session. So count exactly
        // before refusing.
        if there < most || self.cached(id).is_some() || self.count_of_all(gate) < most {
            return Ok(());
        }
        let text = format!(
            "{most} sessions are in use, ten times the `max_sessions` of {max}; raise that setting"
        );
        Err(Error::new(ErrorKind::Budget, text).with_retry_after(ASK_AGAIN))
    }

    /// Counts the partitions that have a session or a create. A partition with both, as during a renewal or a check,
    /// counts once.
    fn count_of_all(&self, gate: &Gate) -> u64 {
        let sessions = self.sessions().into_iter();
        let mut all: HashSet<_> = sessions.map(|session| session.partition.id).collect();
        let longest = overdue_after(self.settings.create_timeout);
        all.extend(gate.flying(longest, self.now()));
        all.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletes_are_told_of_each_time_they_have_doubled_and_anew_after_a_calm() {
        let mut told = Told::default();
        let mut heard: Vec<_> = (0..1_000)
            .filter(|pending| told.deletes(*pending))
            .collect();
        assert_eq!(heard, [100, 200, 400, 800]);
        heard = [99, 100, 101]
            .into_iter()
            .filter(|pending| told.deletes(*pending))
            .collect();
        assert_eq!(heard, [100]);
    }
}
