//! What one answer of `GET /v1/health` says of all live sessions.

use std::{collections::BTreeSet, time::Duration};

use super::{
    health,
    health::{Boots, Fate},
};
use crate::{api::Health, model::evidence::Made};

#[derive(Debug, Default)]
pub(super) struct Fates {
    /// Sessions that are gone, by when they were created. A session stays here until a request needs it.
    gone: BTreeSet<(Duration, Duration)>,
    has_newly_gone: bool,
    has_alive: bool,
    has_unclear: bool,
}

impl Fates {
    /// Judges all sessions by an answer. `self` is the result of the answer before.
    pub(super) fn next(
        &self,
        sessions: impl Iterator<Item = Made>,
        health: &Health,
        boots: &Boots,
    ) -> Self {
        let mut next = Self::default();
        for made in sessions {
            match health::judge(&made, health, boots) {
                Fate::Alive => next.has_alive = true,
                Fate::Unclear => next.has_unclear = true,
                Fate::Gone => {
                    let key = (made.born.monotonic, made.at);
                    next.has_newly_gone |= !self.gone.contains(&key);
                    next.gone.insert(key);
                }
            }
        }
        next
    }

    /// Returns whether a session is gone that was not gone by the answer before.
    pub(super) fn tell_of_another(&self) -> bool {
        self.has_newly_gone
    }

    /// Returns whether each session is judged without asking the server for it.
    pub(super) fn are_clear(&self) -> bool {
        !self.has_unclear
    }

    /// Returns whether nothing happened: all sessions are judged, or the process of one of them goes on alone.
    pub(super) fn go_on(&self) -> bool {
        self.are_clear() || self.has_alive
    }
}
