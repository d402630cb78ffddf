//! What one answer of `GET /v1/health` says of all live sessions.

use std::{collections::BTreeSet, time::Duration};

use super::{
    health,
    health::{Boots, Fate},
};
use crate::{api::Health, model::evidence::Made};

#[derive(Debug, Default)]
pub(super) struct Fates {
    /// The sessions that the server has lost and that no request has replaced yet. Each later answer of health finds
    /// them lost again, so they must not count as a new restart. A session is named by the time of its create: on this
    /// host's monotonic clock, and on the server's clock.
    gone: BTreeSet<(Duration, Duration)>,
    has_newly_gone: bool,
    has_alive: bool,
    has_unclear: bool,
}

impl Fates {
    /// Judges all sessions by an answer of `GET /v1/health`. `self` is the result of the answer before.
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

    /// Returns whether the answer shows a restart: a session is gone that was not gone by the answer before.
    pub(super) fn tell_of_another(&self) -> bool {
        self.has_newly_gone
    }

    /// Returns whether the answer alone judges each session, so that none has to be checked.
    pub(super) fn are_clear(&self) -> bool {
        !self.has_unclear
    }

    /// Returns whether the cause of the question counts as a false alarm: the answer alone judges each session, or at
    /// least one session is certainly alive.
    pub(super) fn go_on(&self) -> bool {
        self.are_clear() || self.has_alive
    }
}
