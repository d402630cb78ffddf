//! What one answer says of all the sessions that there are.

use std::{collections::BTreeSet, time::Duration};

use super::{
    health,
    health::{Boots, Fate},
};
use crate::{api::Health, model::evidence::Made};

#[derive(Debug, Default)]
pub(super) struct Fates {
    /// Those that are gone, by when they were made. They stay here until somebody needs them.
    gone: BTreeSet<(Duration, Duration)>,
    has_newly_gone: bool,
    has_alive: bool,
    has_unclear: bool,
}

impl Fates {
    /// Judges all by an answer. These are what the one before it said.
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

    /// Whether a session is gone that was not by the answer before.
    pub(super) fn tell_of_another(&self) -> bool {
        self.has_newly_gone
    }

    /// Whether each session is judged without asking for it.
    pub(super) fn are_clear(&self) -> bool {
        !self.has_unclear
    }

    /// Whether nothing happened: the process that made one of them goes on, and no other has been seen since.
    pub(super) fn go_on(&self) -> bool {
        self.are_clear() || self.has_alive
    }
}
