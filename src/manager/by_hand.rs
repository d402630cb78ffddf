//! Sessions of ours that somebody changes or deletes: with [`SessionManager::api`](super::SessionManager::api), or by a request
//! through the layer. They are used no more from before the call on.

use std::{sync::Arc, time::Duration};

use http::Method;

use super::{core::Core, event::RetireReason, message::Outgoing, session::LiveSession};
use crate::{
    api::{Answered, Change, KeptId, Ongoing, SessionId},
    scope,
};

/// What a request through the layer does to a session.
#[derive(Debug)]
pub(crate) struct ByHand {
    id: SessionId,
    deletes: bool,
    /// On the session, if it was ours and in use; one that was taken up from a store twice is two of them.
    holds: Vec<Hold>,
}

/// Counts as a request that bears the session, so that the manager's own delete comes after it.
#[derive(Debug)]
struct Hold {
    core: Arc<Core>,
    session: Arc<LiveSession>,
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
            deletes: *method == Method::DELETE,
            holds: take_out_of_use(core, &id),
            id,
        })
    }

    /// Nobody knows whether the server has done it.
    pub(super) fn linger(&self, until: Duration) {
        let sessions = self.holds.iter().map(|hold| &hold.session);
        sessions.for_each(|session| session.in_flight.linger(until));
    }

    /// What the request has deleted is not deleted once more. A 404 may have been for another key's session.
    pub(super) fn succeeded(&self, core: &Core) {
        if self.deletes {
            core.retirement.remove_id(&self.id);
        }
    }
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
pub(super) fn told_by_api(core: &Arc<Core>, id: &SessionId, change: Change) -> Option<Ongoing> {
    match change {
        Change::Deleted => {
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
