//! Sessions of ours that somebody changes or deletes: with [`SessionManager::api`](super::SessionManager::api), or by a request
//! through the layer. They are used no more from before the call on.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, StatusCode};

use super::{
    core::Core, event::RetireReason, known_ids::IdHash, life::Life, message::Outgoing,
    partition::KeyId, session::LiveSession,
};
use crate::{
    api::{Answered, Change, KeptId, OnAnswer, OnSend, Ongoing, SessionId},
    evidence::window::{self, Stamp},
    scope,
};

/// What a request through the layer does to a session, or that it bears one which its sender has put in.
#[derive(Debug)]
pub(crate) struct ByHand {
    /// What it deletes, if that is what it does.
    deletes: Option<SessionId>,
    /// On the session, if it was ours and in use; one that was taken up from a store twice is two of them.
    holds: Vec<Hold>,
}

/// Calls that are made by hand take places in the server's rate-limit windows as well.
pub(super) fn watching(core: &Arc<Core>) -> OnSend {
    let core = Arc::downgrade(core);
    Box::new(move || {
        let core = core.upgrade()?;
        let sent = core.now();
        let look: OnAnswer = Box::new(move |head| core.saw_session_call(Stamp::of(head), sent));
        Some(look)
    })
}

/// Counts as a request that bears the session, so that the manager's own delete comes after it.
#[derive(Debug)]
pub(super) struct Hold {
    core: Arc<Core>,
    session: Arc<LiveSession>,
}

impl Hold {
    /// `None` if nobody may use the session any more.
    pub(super) fn on(core: &Arc<Core>, session: &Arc<LiveSession>) -> Option<Self> {
        let (core, session) = (core.clone(), session.clone());
        let enters = session.in_flight.enter();
        enters.then(|| {
            session.used(core.now());
            Self { core, session }
        })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.session.in_flight.leave() {
            self.core.released(&self.session);
        }
    }
}

impl ByHand {
    /// Looks whether a request changes or deletes a session; from then on nobody else uses it.
    pub(super) fn of<R: Outgoing>(core: &Arc<Core>, request: &R) -> Option<Self> {
        let (method, path) = request.method_and_path()?;
        let id = scope::session_id_in(path)?;
        (!method.is_safe()).then(|| Self {
            holds: take_out_of_use(core, &id),
            deletes: (*method == Method::DELETE).then_some(id),
        })
    }

    /// A request that bears a session which its sender has put in. It changes nothing, and holds the session.
    pub(super) fn bearing(hold: Hold) -> Self {
        Self {
            deletes: None,
            holds: vec![hold],
        }
    }

    /// Nobody knows whether the server has done it.
    pub(super) fn linger(&self, until: Duration) {
        let sessions = self.holds.iter().map(|hold| &hold.session);
        sessions.for_each(|session| session.in_flight.linger(until));
    }

    /// What the request has deleted is not deleted once more. A 404 may have been for another key's session.
    pub(super) fn succeeded(&self, core: &Core) {
        if let Some(id) = &self.deletes {
            core.known_ids.deleted(IdHash::of(id.as_str()));
            core.retirement.remove_id(id);
        }
    }
}

/// Whether the server has carried out a request. A gateway or a captive portal can answer 200 in its place, and then the
/// session is still there.
pub(super) fn is_done(status: StatusCode, headers: &HeaderMap) -> bool {
    status.is_success() && window::is_by_application(headers)
}

fn take_out_of_use(core: &Arc<Core>, id: &SessionId) -> Vec<Hold> {
    let kept = KeptId::from(id);
    let mut holds = Vec::new();
    core.retire_all(RetireReason::Invalidated, |session| {
        let is_meant = session.id == kept;
        if is_meant {
            session.begin_delete();
            // Before it is retired, after which nobody gets in.
            if session.in_flight.enter() {
                let (core, session) = (core.clone(), session.clone());
                holds.push(Hold { core, session });
            }
        }
        is_meant
    });
    core.fleet.ended_by_hand(core, id);
    holds
}

/// A call of [`SessionsApi`](crate::SessionsApi) that changes or deletes a session.
struct Call {
    holds: Vec<Hold>,
    /// When it is over at the latest, in monotonic time.
    until: Duration,
    is_answered: bool,
}

impl Answered for Call {
    fn answered(&mut self) {
        self.is_answered = true;
    }
}

impl Drop for Call {
    /// The server may still be at a call that was not answered.
    fn drop(&mut self) {
        if !self.is_answered {
            let sessions = self.holds.iter().map(|hold| &hold.session);
            sessions.for_each(|session| session.in_flight.linger(self.until));
        }
    }
}

/// What is changed or deleted by [`SessionsApi`](crate::SessionsApi) is used no more. The manager's own delete comes after the call.
/// What is created or fetched by it may stand on requests of this API key.
pub(super) fn told_by_api(
    core: &Arc<Core>,
    key: Option<KeyId>,
    id: &SessionId,
    change: Change,
) -> Option<Ongoing> {
    let hash = IdHash::of(id.as_str());
    match change {
        Change::Lives(left) => {
            let life = Life::new(core.now(), left, 0.0);
            core.known_ids.note_by_hand(hash, key?, life);
            None
        }
        Change::Deleted => {
            core.known_ids.deleted(hash);
            core.retirement.remove_id(id);
            None
        }
        Change::Begins(timeout) => Some(Box::new(Call {
            until: core.now().monotonic.saturating_add(timeout),
            holds: take_out_of_use(core, id),
            is_answered: false,
        })),
    }
}
