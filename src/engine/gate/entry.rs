//! What the gate knows of one partition.

use crate::{
    clock::Reading,
    engine::{cooldown::Cooldown, flight::Flight, wrong_answers::WrongAnswers},
    error::Error,
    model::{budget::Purpose, partition::KeyId},
};

#[derive(Clone, Debug)]
pub(super) struct Entry<W> {
    /// The partition's key, once the partition has had a cooldown.
    pub(super) key: Option<KeyId>,
    pub(super) flight: Option<Flight<W>>,
    pub(super) hold: Option<Cooldown>,
    /// The cooldown for checks of whether a session is alive. A check may be answered while creates fail.
    pub(super) check_hold: Option<Cooldown>,
    pub(super) last_call: Option<Reading>,
    /// Sessions that were created and turned out to be of no use.
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
