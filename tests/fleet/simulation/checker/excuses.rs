//! What the promises excuse.

use std::time::Duration;

use super::{Checker, Deed, Run, Who};

/// How long it takes at most, without trouble, until others hear of something.
pub(super) const MOMENTS: Duration = Duration::from_secs(16);

pub(super) fn is_store_back(deed: &Deed) -> bool {
    matches!(deed, Deed::StoreBack(_))
}

impl Checker<'_> {
    /// Whether a newcomer may take a session for younger than it is: the store's clock was set back in its life, and the wall
    /// clock, the only other witness, differs from its maker's.
    pub(super) fn may_misjudge_age(&self, at: Duration) -> bool {
        let script = self.script();
        let is_turned = |deed: &Deed| matches!(deed, Deed::SetBack(..) | Deed::SetForward(..));
        let differ = script.places.iter().any(|place| place.ahead != 0) || script.has(is_turned);
        let (_, ttl) = script.ttl();
        let steps = self.store_back.iter().enumerate();
        // Each step that came in its life makes it look so much younger.
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

    /// Whether a request may still bear a session that was taken out of use: others hear of it within moments, and as long as
    /// something kept them from hearing, their lease bounds it. They never hear of it if the only one who knew was gone before it
    /// reached the store.
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
        who != by && (is_soon || self.changes.was_mute(by, since))
    }

    /// All machines slept while it was on its way.
    pub(super) fn was_asleep(&self, n: u64) -> bool {
        let (from, until) = self.way[&n];
        self.asleep.iter().any(|at| (from..until).contains(at))
    }
}
