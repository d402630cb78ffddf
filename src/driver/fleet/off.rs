//! What the rest asks of a fleet where there cannot be one.

use std::{sync::Arc, time::Duration};

use super::{core::Core, create::Create, flight::Share};
use crate::{
    api::{SessionDefaults, SessionId, Word},
    clock::{Clock, Reading},
    engine::evidence::Metered,
    error::Error,
    hot::session::LiveSession,
    model::{change::DefaultsChange, identity::Identity, reason::RetireReason},
};

/// There is none.
#[derive(Clone, Debug)]
pub(crate) enum Sharing {}

#[derive(Debug)]
pub(crate) struct Fleet;

#[derive(Debug, Default)]
pub(crate) struct Attempt {}

pub(crate) struct Moving;

#[derive(Debug)]
pub(crate) enum StandIn {}

#[allow(dead_code)] // as the one that does something
pub(crate) enum WhoAsks {
    This(Option<Box<StandIn>>),
    Another(Metered, bool),
}

#[allow(dead_code)] // as the one that does something
#[derive(Debug)]
pub(crate) enum Leaving {
    Delete,
    ToOthers,
    Unknown(Error),
}

#[allow(clippy::unused_self)]
impl Attempt {
    pub(crate) fn instead_of(_: Option<&LiveSession>) -> Self {
        Self {}
    }

    pub(crate) fn accepted_for(&self, _: Reading) -> Option<Duration> {
        None
    }

    pub(crate) fn was_refused(&self) -> bool {
        false
    }
}

#[allow(clippy::unused_self)]
impl Fleet {
    pub(crate) fn new(_: Option<Sharing>, _: Arc<dyn Clock>) -> Self {
        Self
    }

    pub(crate) fn is_there(&self) -> bool {
        false
    }

    pub(crate) async fn ask_once(&self, _: &Core, ask: impl Future<Output = Word>) -> Word {
        ask.await
    }

    #[allow(clippy::unused_async)]
    pub(crate) async fn stand_in(&self, _: &Core, _: u64, _: Duration) -> WhoAsks {
        WhoAsks::This(None)
    }

    #[allow(clippy::unused_async)]
    pub(crate) async fn stood_in(&self, _: &Core, stand_in: StandIn, _: &Metered) {
        match stand_in {}
    }

    pub(crate) fn begin_anew(&self) {}

    pub(crate) fn landed(&self, _: &Arc<Core>, _: &LiveSession, _: bool) {}

    pub(crate) fn used(&self, _: &Arc<Core>, _: Reading) {}

    #[inline]
    pub(crate) fn ended_by_hand(&self, _: &Arc<Core>, _: &SessionId) {}

    pub(crate) fn has_looked(&self) -> bool {
        true
    }

    pub(crate) fn knows_defaults(&self, _: &Core, _: &Identity) -> bool {
        true
    }

    #[allow(clippy::unused_async)]
    pub(crate) async fn first_look(&self, _: &Arc<Core>, _: &Identity) -> Result<(), Error> {
        Ok(())
    }

    pub(crate) fn changed_defaults(&self, _: &Arc<Core>, _: &DefaultsChange, _: &SessionDefaults) {}

    #[allow(clippy::unused_async)]
    pub(crate) async fn move_to(&self, _: &Core, newer: Identity) -> (Identity, Moving) {
        (newer, Moving)
    }

    pub(crate) fn moved_to(&self, _: &Arc<Core>, _: &Moving) {}

    #[allow(clippy::unused_async)]
    pub(crate) async fn last_words(&self, _: &Arc<Core>) {}

    #[allow(clippy::unused_async)]
    pub(crate) async fn tell_defaults(&self, _: &Core) {}

    #[allow(clippy::unused_async)]
    pub(crate) async fn leave(&self, _: &Core, _: &LiveSession) -> Leaving {
        Leaving::Delete
    }

    pub(crate) fn retired(&self, _: &LiveSession, _: RetireReason) {}

    pub(crate) fn spend(&self, _: &LiveSession) {}
}

#[allow(clippy::unused_self, clippy::unused_async, clippy::unnecessary_wraps)]
impl Create {
    pub(crate) async fn share(&mut self) -> Share {
        Share::Create
    }

    pub(crate) async fn publish(&mut self, _: &Arc<LiveSession>) -> Result<(), Error> {
        Ok(())
    }

    pub(crate) async fn give_back_right(&mut self, _: Option<&Error>) {}
}
