//! Retired sessions, in the order in which they are due: there may be too many to look at each of them every time.

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

/// How many are handed out to be deleted before the queue is looked at again.
const AT_ONCE: usize = 256;
/// How often a delete is tried before its session is left to expire.
const MAX_TRIES: u32 = 3;
/// Each session is looked at this often in any case: clocks may be set, and not everybody says that he is done. So is the
/// queue itself, so that a worker on a stalled runtime is noticed.
pub(crate) const LOOK: Duration = Duration::from_secs(15);

/// A session on its way out.
#[derive(Clone, Debug)]
pub(crate) struct Retired {
    pub(crate) session: Arc<LiveSession>,
    tries: u32,
    /// In monotonic time.
    not_before: Duration,
    /// When to look at it, in monotonic time.
    due: Duration,
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

    /// How long until something is to be done about it.
    fn wait(&self, now: Reading) -> Duration {
        let session = &self.session;
        let worth_it = session.life.worth_deleting_for(now);
        if session.in_flight.count() > 0 {
            // The last of them wakes us.
            return worth_it;
        }
        let lingers = session.in_flight.lingers_for(now);
        let postponed = self.not_before.saturating_sub(now.monotonic);
        lingers.max(postponed).min(worth_it)
    }
}

/// In the order in which they were made. A create that is refused may make two of one generation.
type Key = (u64, usize);

fn key(session: &Arc<LiveSession>) -> Key {
    (session.generation, Arc::as_ptr(session).addr())
}

#[derive(Debug, Default)]
pub(crate) struct Waiting {
    retired: BTreeMap<Key, Retired>,
    /// All of them, the one that is due next in front.
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

    /// How long until the next one is due.
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

    /// A session could not be deleted for now; `tried` says whether a call was made.
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

    /// Something about a session has changed.
    pub(crate) fn look_at(&mut self, session: &Arc<LiveSession>) {
        let key = key(session);
        if let Some(retired) = self.retired.get_mut(&key) {
            self.due.remove(&(retired.due, key));
            retired.due = Duration::ZERO;
            self.due.insert((retired.due, key));
        }
    }

    /// Looks at those that are due: returns some of those that can be deleted now, and takes out those that need not be.
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
