//! How many sessions there may be.
//!
//! Up to `max_sessions` are kept for keys that are idle. One that was used lately makes no room for others, so that there may be more
//! of them for a while, up to a hard limit.

use std::{collections::HashSet, time::Duration};

use super::core::Core;
use crate::{
    clock::Reading,
    driver::flight::Gate,
    engine::flight::overdue_after,
    error::{Error, ErrorKind},
    model::partition::PartitionId,
};

/// There are never more than so many times `max_sessions`.
const MOST: u64 = 10;
/// A session ends to be in use within a minute.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// That there are more sessions than room is told so often at most.
const TOLD_FOR: Duration = Duration::from_secs(60 * 60);
/// So many sessions that wait to be deleted are told of, and twice as many again.
const MANY_DELETES: usize = 100;

/// Which troubles have been told of.
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
    /// There are more sessions than room; returns whether that is news.
    pub(crate) fn crowded(&mut self, now: Reading) -> bool {
        let is_old = |told| now.since(told) >= TOLD_FOR;
        let is_news = self.crowded.is_none_or(is_old);
        if is_news {
            self.crowded = Some(now);
        }
        is_news
    }

    /// So many sessions wait to be deleted; returns whether that is news.
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
    /// Whether there may be one more session, for a partition that has none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Budget`].
    pub(crate) fn check_room(&self, gate: &Gate, id: PartitionId) -> Result<(), Error> {
        let max = self.settings.max_sessions;
        let most = max.saturating_mul(MOST);
        let pinned = self.retirement.all_pinned().len() as u64;
        let there = self.live.entry_count() + pinned + gate.under_way();
        // The count of entries lags behind, and a create may be for one of them.
        if there < most || self.cached(id).is_some() || self.count_of_all(gate) < most {
            return Ok(());
        }
        let text = format!(
            "{most} sessions are in use, ten times the `max_sessions` of {max}; raise that setting"
        );
        Err(Error::new(ErrorKind::Budget, text).with_retry_after(ASK_AGAIN))
    }

    /// A renewal or a check takes no place beside the session that there is.
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
