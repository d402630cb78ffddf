//! Sessions of ours that somebody changes or deletes: with [`SessionManager::api`](crate::front::manager::SessionManager::api), or by a request
//! through the layer. They are used no more from before the call on.

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

/// A delete of a session that may be its owner's. It counts as gone from before the call on, and where nobody knows what became of that.
#[derive(Debug)]
struct Ending {
    hash: IdHash,
    /// In monotonic time of the manager, and what it knew before.
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

    /// It was not carried out.
    fn take_back(&self) {
        for (core, began, before) in &self.known {
            core.known_ids.goes_on(self.hash, *before, *began);
        }
    }
}

/// What a request through the layer does to a session, or that it bears one which its sender has put in.
#[derive(Debug)]
pub(crate) struct ByHand {
    /// What it deletes, if that is what it does.
    deletes: Option<(SessionId, Ending)>,
    /// On the session, if it was ours and in use; one that was taken up from a store twice is two of them.
    holds: Vec<Hold>,
}

/// Calls that are made by hand take places in the server's rate-limit windows as well.
pub(crate) fn watching(core: &Arc<Core>) -> OnSend {
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
pub(crate) struct Hold {
    core: Arc<Core>,
    session: Arc<LiveSession>,
}

impl Hold {
    /// `None` if nobody may use the session any more.
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
    /// Looks whether a request changes or deletes a session; from then on nobody else uses it.
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

    /// A request that bears a session which its sender has put in. It changes nothing, and holds the session.
    pub(crate) fn bearing(hold: Hold) -> Self {
        Self {
            deletes: None,
            holds: vec![hold],
        }
    }

    /// Nobody knows whether the server has done it.
    pub(crate) fn linger(&self, until: Duration) {
        let sessions = self.holds.iter().map(|hold| &hold.session);
        sessions.for_each(|session| session.in_flight.linger(until));
    }

    /// What the request has deleted is not deleted once more, and what the server refused to delete is still there. A 404 may have been
    /// for another key's session. A gateway or a captive portal can answer in the server's place, and then nobody knows.
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

/// Also out of that of other managers of this process.
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

/// A call of [`SessionsApi`](crate::SessionsApi) about one session.
struct Call {
    core: Arc<Core>,
    key: Option<KeyId>,
    deed: Deed,
    sent: Reading,
    ending: Option<Ending>,
    id: SessionId,
    holds: Vec<Hold>,
    /// When it is over at the latest, in monotonic time.
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
    /// The server may still be at a call that was not answered.
    fn drop(&mut self) {
        if !self.is_answered {
            let sessions = self.holds.iter().map(|hold| &hold.session);
            sessions.for_each(|session| session.in_flight.linger(self.until));
        }
    }
}

/// No manager deletes it once more.
fn is_deleted(core: &Core, id: &SessionId) {
    for manager in peers::of_same_server(core) {
        manager.retirement.remove_id(id);
    }
}

/// The server does not have a session for this key. It may be another key's.
fn is_gone(core: &Core, id: IdHash, key: KeyId, deed: Deed) {
    for manager in peers::of_same_server(core) {
        manager.known_ids.gone(id, key, manager.uptime());
        let session = manager.session_of(id);
        let session = session.filter(|session| session.partition.key_id == key);
        // One that was to be changed or deleted is used no more in any case.
        if let Some(session) = session.filter(|_| deed == Deed::Ask) {
            manager.settle(&session, false);
        }
    }
}

/// What is changed or deleted by [`SessionsApi`](crate::SessionsApi) is used no more. The manager's own delete comes after the call.
/// What is created or fetched by it may stand on requests of this API key.
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
