//! *Retired* sessions: those that no request gets any more, and that wait for their deletion. They are sorted by when
//! something is due for them, since there may be too many to look at all of them each time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crate::{
    api::{KeptId, SessionId},
    clock::Reading,
    error::Error,
    hot::session::LiveSession,
    model::event::Event,
};

/// How many sessions are handed out for deletion before the queue is examined again.
const AT_ONCE: usize = 256;
/// How often a delete is tried before its session is left to expire.
const MAX_TRIES: u32 = 3;
/// How often each session is examined even if nothing is due: the clock may be set, and not every request reports its
/// end. The queue itself is examined as often, so that a worker on a stalled runtime is noticed.
pub(crate) const LOOK: Duration = Duration::from_secs(15);

/// A session that waits for its deletion.
#[derive(Clone, Debug)]
pub(crate) struct Retired {
    pub(crate) session: Arc<LiveSession>,
    tries: u32,
    /// The session is not deleted before this monotonic time.
    not_before: Duration,
    /// When to examine the session next, in monotonic time.
    due: Duration,
    /// Why the last delete failed.
    error: Option<Error>,
}

impl Retired {
    pub(crate) fn new(session: Arc<LiveSession>) -> Self {
        Self {
            session,
            tries: 0,
            not_before: Duration::ZERO,
            due: Duration::ZERO,
            error: None,
        }
    }

    pub(crate) fn left_to_expire(&self, now: Reading) -> Event {
        let session = &self.session;
        let left = session.life.left(now);
        Event::LeftToExpire {
            session: session.reference(),
            left,
            error: self.error.clone(),
        }
    }

    /// Returns how long until the session can be deleted, or is not worth a delete any more.
    fn wait(&self, now: Reading) -> Duration {
        let session = &self.session;
        let worth_it = session.life.worth_deleting_for(now);
        if session.in_flight.count() > 0 {
            // The last of them wakes us. Until then, the session is due only once its life is too short to be worth a
            // delete.
            return worth_it;
        }
        let lingers = session.in_flight.lingers_for(now);
        let postponed = self.not_before.saturating_sub(now.monotonic);
        lingers.max(postponed).min(worth_it)
    }
}

/// Sorts sessions by the order of their creation. A refused create may leave two sessions of one generation.
type Key = (u64, usize);

fn key(session: &Arc<LiveSession>) -> Key {
    (session.generation, Arc::as_ptr(session).addr())
}

#[derive(Debug, Default)]
pub(crate) struct Waiting {
    retired: BTreeMap<Key, Retired>,
    /// All sessions, the next due one first.
    due: BTreeSet<(Duration, Key)>,
}

impl Waiting {
    pub(crate) fn is_empty(&self) -> bool {
        self.retired.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.retired.len()
    }

    pub(crate) fn sessions(&self) -> impl Iterator<Item = &Arc<LiveSession>> {
        self.retired.values().map(|retired| &retired.session)
    }

    pub(crate) fn into_all(self) -> Vec<Retired> {
        self.retired.into_values().collect()
    }

    /// Returns how long until the next session is due.
    pub(crate) fn next_in(&self, now: Reading) -> Option<Duration> {
        let (due, _) = self.due.first()?;
        Some(due.saturating_sub(now.monotonic))
    }

    pub(crate) fn add(&mut self, session: Arc<LiveSession>) {
        let (key, retired) = (key(&session), Retired::new(session));
        self.due.insert((retired.due, key));
        self.retired.insert(key, retired);
    }

    pub(crate) fn remove(&mut self, session: &Arc<LiveSession>) {
        self.remove_key(key(session));
    }

    pub(crate) fn remove_id(&mut self, id: &SessionId) {
        let id = KeptId::from(id);
        let meant = self.sessions().filter(|session| session.id == id).map(key);
        let meant: Vec<_> = meant.collect();
        for key in meant {
            self.remove_key(key);
        }
    }

    /// Postpones a delete to the monotonic time `until`. If a call was made and failed, `tried` is its error.
    pub(crate) fn postpone(
        &mut self,
        session: &Arc<LiveSession>,
        until: Duration,
        tried: Option<Error>,
    ) {
        if let Some(retired) = self.retired.get_mut(&key(session)) {
            retired.not_before = until;
            retired.tries += u32::from(tried.is_some());
            retired.error = tried.or_else(|| retired.error.take());
        }
        self.look_at(session);
    }

    /// Makes a session due at once, because something about it has changed.
    pub(crate) fn look_at(&mut self, session: &Arc<LiveSession>) {
        let key = key(session);
        if let Some(retired) = self.retired.get_mut(&key) {
            self.due.remove(&(retired.due, key));
            retired.due = Duration::ZERO;
            self.due.insert((retired.due, key));
        }
    }

    /// Examines the sessions that are due. First returns those that can be deleted now, up to `AT_ONCE`. Then removes
    /// and returns those that are left to expire: they are not worth a delete, or their delete has failed too often.
    pub(crate) fn take_stock(&mut self, now: Reading) -> (Vec<Arc<LiveSession>>, Vec<Retired>) {
        let (mut ready, mut still_due, mut let_go) = (Vec::new(), Vec::new(), Vec::new());
        while let Some((due, key)) = self.due.first().copied()
            && due <= now.monotonic
            && ready.len() < AT_ONCE
        {
            self.due.remove(&(due, key));
            let Some(retired) = self.retired.get_mut(&key) else {
                continue;
            };
            let wait = retired.wait(now);
            if !retired.session.life.is_worth_deleting(now) || retired.tries >= MAX_TRIES {
                let_go.extend(self.retired.remove(&key));
            } else if wait.is_zero() {
                ready.push(retired.session.clone());
                still_due.push((due, key));
            } else {
                retired.due = now.monotonic.saturating_add(wait.min(LOOK));
                self.due.insert((retired.due, key));
            }
        }
        self.due.extend(still_due);
        (ready, let_go)
    }

    fn remove_key(&mut self, key: Key) {
        if let Some(retired) = self.retired.remove(&key) {
            self.due.remove(&(retired.due, key));
        }
    }
}
