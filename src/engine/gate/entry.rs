//! What the gate knows of one partition.

use crate::{
    clock::Reading,
    engine::{cooldown::Cooldown, flight::Flight, wrong_answers::WrongAnswers},
    error::Error,
    model::{budget::Purpose, partition::KeyId},
};

#[derive(Clone, Debug)]
pub(super) struct Entry<W> {
    /// The partition's API key. `None` until the partition has a cooldown.
    pub(super) key: Option<KeyId>,
    /// The create or check that is in charge of the partition.
    pub(super) flight: Option<Flight<W>>,
    /// The cooldown for creates and deletes.
    pub(super) hold: Option<Cooldown>,
    /// The cooldown for checks of whether a session is alive. It is kept apart: the server may answer checks while
    /// creates fail.
    pub(super) check_hold: Option<Cooldown>,
    /// When the partition's last session call was granted.
    pub(super) last_call: Option<Reading>,
    /// Sessions whose answers named another chain than their defaults.
    pub(super) wrong: WrongAnswers,
    /// Why the last create could not reach the store, and when.
    pub(super) store_error: Option<(Error, Reading)>,
}

impl<W> Default for Entry<W> {
    fn default() -> Self {
        Self {
            key: None,
            flight: None,
            hold: None,
            check_hold: None,
            last_call: None,
            wrong: WrongAnswers::default(),
            store_error: None,
        }
    }
}

impl<W> Entry<W> {
    pub(super) fn hold(&self, purpose: Purpose) -> Option<&Cooldown> {
        match purpose {
            Purpose::Question | Purpose::Check => self.check_hold.as_ref(),
            Purpose::Create | Purpose::Delete | Purpose::LastDelete => self.hold.as_ref(),
        }
    }

    pub(super) fn hold_mut(&mut self, purpose: Purpose) -> &mut Option<Cooldown> {
        match purpose {
            Purpose::Question | Purpose::Check => &mut self.check_hold,
            Purpose::Create | Purpose::Delete | Purpose::LastDelete => &mut self.hold,
        }
    }
}
