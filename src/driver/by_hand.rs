//! Sessions that the user changes or deletes by hand: with
//! [`SessionManager::api`](crate::front::manager::SessionManager::api), or by a request through the layer. The
//! manager stops using such a session before the call is sent.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, StatusCode};

use super::{
    core::Core,
    known_ids::{IdHash, Known},
    peers,
};
use crate::{
    api::{
        Answered, Change, Deed, Found, KeptId, OnAnswer, OnSend, Ongoing, SessionId, Stamp,
        is_by_application,
    },
    clock::Reading,
    hot::session::LiveSession,
    model::{life::Life, partition::KeyId, reason::RetireReason},
    scope,
};

/// A delete call of the user, for a session that the user may have created. The session counts as gone from just before
/// the call, even if the outcome of the call stays unknown.
#[derive(Debug)]
struct Ending {
    hash: IdHash,
    /// The managers that knew the session. With each: its monotonic time when the call began, and what it knew before.
    known: Vec<(Arc<Core>, Duration, Known)>,
}

impl Ending {
    fn of(core: &Core, id: &SessionId) -> Self {
        let hash = IdHash::of(id.as_str());
        let managers = peers::of_same_server(core).into_iter();
        let known = managers.filter_map(|core| {
            let now = core.now().monotonic;
            let before = core.known_ids.ends(hash, now)?;
            Some((core, now, before))
        });
        let known = known.collect();
        Self { hash, known }
    }

    /// Restores what was known: the server did not delete the session.
    fn take_back(&self) {
        for (core, began, before) in &self.known {
            core.known_ids.goes_on(self.hash, *before, *began);
        }
    }
}

/// A request through the layer that changes or deletes a session, or one that carries a session which its sender has
/// put in.
#[derive(Debug)]
pub(crate) struct ByHand {
    /// The session that the request deletes, if it deletes one.
    deletes: Option<(SessionId, Ending)>,
    /// Keep the manager from deleting the session during the request, if a manager used it. There are two if one
    /// manager adopted the session twice from a store.
    holds: Vec<Hold>,
}

/// Returns a hook that looks at the answers to calls that the user makes by hand. Such calls count in the server's
/// rate-limit windows like any other call.
pub(crate) fn watching(core: &Arc<Core>) -> OnSend {
    let core = Arc::downgrade(core);
    Box::new(move || {
        let core = core.upgrade()?;
        let sent = core.now();
        let look: OnAnswer = Box::new(move |head| core.saw_session_call(Stamp::of(head), sent));
        Some(look)
    })
}

/// Counts as a request that uses the session. So the manager deletes the session only after this is dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    core: Arc<Core>,
    session: Arc<LiveSession>,
}

impl Hold {
    /// Returns `None` if the session may not be used any more.
    pub(crate) fn on(core: &Arc<Core>, session: &Arc<LiveSession>) -> Option<Self> {
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
    /// Describes a request that changes or deletes a session, and stops the use of that session by others. Returns
    /// `None` for any other request.
    pub(crate) fn of(core: &Arc<Core>, method: &Method, path: &str) -> Option<Self> {
        let id = scope::session_id_in(path)?;
        (!method.is_safe()).then(|| Self {
            holds: take_out_of_use(core, &id),
            deletes: (*method == Method::DELETE).then(|| {
                let ending = Ending::of(core, &id);
                (id, ending)
            }),
        })
    }

    /// Describes a request that carries a session which its sender has put in. It changes nothing, but the session is
    /// not deleted before it has ended.
    pub(crate) fn bearing(hold: Hold) -> Self {
        Self {
            deletes: None,
            holds: vec![hold],
        }
    }

    /// Counts the sessions as in use until the time `until`. Called if the outcome of the request is unknown.
    pub(crate) fn linger(&self, until: Duration) {
        let sessions = self.holds.iter().map(|hold| &hold.session);
        sessions.for_each(|session| session.in_flight.linger(until));
    }

    /// Draws conclusions from the answer to a request that deletes a session. If the server deleted it, the manager
    /// does not delete it again. If the server refused, the session is still alive. Nothing follows from a 404,
    /// because the session may belong to another API key. Nothing follows either if a gateway or a captive portal
    /// answered in the server's place.
    pub(crate) fn answered(&self, core: &Core, status: StatusCode, headers: &HeaderMap) {
        let Some((id, ending)) = &self.deletes else {
            return;
        };
        if !is_by_application(headers) {
            return;
        }
        if status.is_success() {
            is_deleted(core, id);
        } else if status.is_client_error() && status != StatusCode::NOT_FOUND {
            ending.take_back();
        }
    }
}

/// Stops the use of a session in all managers of this process.
fn take_out_of_use(core: &Core, id: &SessionId) -> Vec<Hold> {
    let managers = peers::of_same_server(core);
    let holds = managers.iter().map(|core| take_out_of(core, id));
    holds.flatten().collect()
}

fn take_out_of(core: &Arc<Core>, id: &SessionId) -> Vec<Hold> {
    let kept = KeptId::from(id);
    let mut holds = Vec::new();
    core.retire_all(RetireReason::Invalidated, |session| {
        let is_meant = session.id == kept;
        if is_meant {
            session.begin_delete();
            // Enter before the session is retired: afterwards no request can enter.
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

/// A call of [`SessionsApi`](crate::SessionsApi) that concerns one session.
struct Call {
    core: Arc<Core>,
    key: Option<KeyId>,
    deed: Deed,
    sent: Reading,
    ending: Option<Ending>,
    id: SessionId,
    holds: Vec<Hold>,
    /// When the call has ended at the latest, in monotonic time.
    until: Duration,
    is_answered: bool,
}

impl Answered for Call {
    fn answered(&mut self, found: Found) {
        self.is_answered = true;
        let (core, hash) = (&self.core, IdHash::of(self.id.as_str()));
        match (found, self.key) {
            (Found::Lives(left), Some(key)) => {
                let known = (key, Life::new(core.now(), left, 0.0));
                core.known_ids
                    .note_by_hand(hash, known, self.sent.monotonic);
            }
            (Found::Deleted, _) => is_deleted(core, &self.id),
            (Found::Gone, Some(key)) => is_gone(core, hash, key, self.deed),
            (Found::Unchanged, _) => {
                if let Some(ending) = &self.ending {
                    ending.take_back();
                }
            }
            (Found::Lives(_) | Found::Gone, None) => {}
        }
    }
}

impl Drop for Call {
    /// Keeps the sessions in use for a while if the call was not answered: the server may still be working on it.
    fn drop(&mut self) {
        if !self.is_answered {
            let sessions = self.holds.iter().map(|hold| &hold.session);
            sessions.for_each(|session| session.in_flight.linger(self.until));
        }
    }
}

/// Makes sure that no manager deletes the session again.
fn is_deleted(core: &Core, id: &SessionId) {
    for manager in peers::of_same_server(core) {
        manager.retirement.remove_id(id);
    }
}

/// Draws conclusions from an answer that the server has no such session for this API key. The session may belong to
/// another key.
fn is_gone(core: &Core, id: IdHash, key: KeyId, deed: Deed) {
    for manager in peers::of_same_server(core) {
        manager.known_ids.gone(id, key, manager.uptime());
        let session = manager.session_of(id);
        let session = session.filter(|session| session.partition.key_id == key);
        // If the call was meant to change or delete the session, the session is out of use already.
        if let Some(session) = session.filter(|_| deed == Deed::Ask) {
            manager.settle(&session, false);
        }
    }
}

/// Handles what the user does with [`SessionsApi`](crate::SessionsApi). A session that is changed or deleted is not
/// used any more, and the manager's own delete comes after the call. A session that is created or fetched may then be
/// used on requests with this API key.
pub(crate) fn told_by_api(
    core: &Arc<Core>,
    key: Option<KeyId>,
    id: &SessionId,
    change: Change,
) -> Option<Ongoing> {
    let now = core.now();
    let (deed, timeout) = match change {
        Change::Created(left) => {
            let known = (key?, Life::new(now, left, 0.0));
            let hash = IdHash::of(id.as_str());
            core.known_ids.note_by_hand(hash, known, now.monotonic);
            return None;
        }
        Change::Begins(deed, timeout) => (deed, timeout),
    };
    Some(Box::new(Call {
        core: core.clone(),
        key,
        deed,
        sent: now,
        until: now.monotonic.saturating_add(timeout),
        ending: (deed == Deed::Delete).then(|| Ending::of(core, id)),
        holds: if deed == Deed::Ask {
            Vec::new()
        } else {
            take_out_of_use(core, id)
        },
        id: id.clone(),
        is_answered: false,
    }))
}
