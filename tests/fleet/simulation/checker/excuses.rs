//! Exceptions to the promises.

use std::time::Duration;

use super::{Checker, Deed, Run, Who};

/// Without trouble, other processes learn of anything within this time.
pub(super) const MOMENTS: Duration = Duration::from_secs(16);

pub(super) fn is_store_back(deed: &Deed) -> bool {
    matches!(deed, Deed::StoreBack(_))
}

impl Checker<'_> {
    /// Whether a new process may believe that a session is younger than it is. That needs two things: the store's clock
    /// was set back during the session's life, and the process's wall clock differs from that of the process which
    /// created the session.
    pub(super) fn may_misjudge_age(&self, at: Duration) -> bool {
        let script = self.script();
        let is_turned = |deed: &Deed| matches!(deed, Deed::SetBack(..) | Deed::SetForward(..));
        let differ = script.places.iter().any(|place| place.ahead != 0) || script.has(is_turned);
        let (_, ttl) = script.ttl();
        let steps = self.store_back.iter().enumerate();
        // Each step during the session's life makes the session look younger by that step.
        let mut ends = steps.map(|(nth, (step, _))| {
            let in_its_life = self.store_back[nth..].iter();
            let in_its_life = in_its_life.filter(|(step, _)| *step <= at);
            let younger: Duration = in_its_life.map(|(_, by)| *by).sum();
            (*step, *step + ttl + younger)
        });
        differ && ends.any(|(from, until)| (from..until).contains(&at))
    }

    pub(super) fn is_of_unknown_age(&self, n: u64, run: &Run) -> bool {
        let (departed, _) = self.way[&n];
        self.may_misjudge_age(run.lines[departed].at)
    }

    /// Whether a request may still carry a session that was taken out of use. Other processes learn of it within
    /// moments. If something kept the news from them, their lease is the bound. They do not learn of it while the only
    /// process that knows cannot reach the store, or if the store lost the news before they could read it.
    pub(super) fn may_bear(&self, (by, since): (Who, Duration), who: Who, at: Duration) -> bool {
        let is_deaf = |deed: &Deed| {
            let deeds = matches!(
                deed,
                Deed::Store(..) | Deed::Flush | Deed::Kill(_) | Deed::Shutdown(..) | Deed::Sleep(_)
            );
            deeds || matches!(deed, Deed::StoreForward(_) | Deed::StoreBack(_))
        };
        let moments = if self.script().has(is_deaf) {
            self.script().lease * 2
        } else {
            MOMENTS
        };
        let is_soon = at.saturating_sub(since) < moments;
        let is_unheard = self.changes.was_mute(by, (since, at))
            || self.changes.was_deaf(who, since)
            || self.changes.were_slow((by, since), who);
        who != by && (is_soon || is_unheard)
    }

    /// Whether a request may wait longer than its `max_wait` although all is well. Where wall clocks differ too much,
    /// one process cannot use the session that another one created, and creates its own. A third one then waits for
    /// both creates, for health (1 s) and for a check.
    pub(super) fn may_wait_in_vain(&self, who: Who) -> bool {
        let script = self.script();
        let most = script.latency * 3 + Duration::from_millis(1_200);
        script.is_skewed && script.places[who.place].max_wait < most
    }

    /// Whether all machines slept while the request was below the layer.
    pub(super) fn was_asleep(&self, n: u64) -> bool {
        let (from, until) = self.way[&n];
        self.asleep.iter().any(|at| (from..until).contains(at))
    }
}
