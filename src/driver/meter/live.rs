//! How many sessions are live in this process, for a gauge.

use std::{
    collections::{BTreeMap, HashMap},
    ptr,
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use metrics::gauge;

use crate::{
    clock::{Clock, Reading},
    lock::Lock,
};

pub(super) const LIVE: &str = "sipher_session_live_sessions";

/// How much later than its retirement a session may be told to have been created.
const OUT_OF_ORDER: Duration = Duration::from_secs(60);

/// What each manager adds to the gauge of each recorder: one in a program, several in tests. The gauge is set to the sum, and never
/// moved by a difference: exporters forget a series that is idle, and a difference would then start from zero.
static TOLD: Lock<BTreeMap<(Recorder, u64), usize>> = Lock::new(BTreeMap::new());

/// The address of a recorder.
type Recorder = usize;

/// The sessions of one manager that are in the gauge.
#[derive(Debug)]
pub(super) struct Live {
    manager: u64,
    clock: Arc<dyn Clock>,
    sessions: Lock<Sessions>,
}

/// By generation. A session that ends by itself is retired by nobody, so that adding one for each created and taking one
/// for each retired would count ever more.
#[derive(Debug, Default)]
struct Sessions {
    /// Since when, and how long each is used.
    counted: HashMap<u64, (Reading, Duration)>,
    /// Retired before it was told that they were created.
    early: HashMap<u64, Reading>,
}

impl Live {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let live = Self {
            manager: NEXT.fetch_add(1, Ordering::Relaxed),
            clock,
            sessions: Lock::default(),
        };
        live.tell();
        live
    }

    pub(super) fn created(&self, generation: u64, usable_for: Duration) {
        let now = self.clock.now();
        let mut sessions = self.sessions();
        let Sessions { counted, early } = &mut *sessions;
        counted.retain(|_, (since, life)| now.since(*since) < *life);
        early.retain(|_, since| now.since(*since) < OUT_OF_ORDER);
        if early.remove(&generation).is_none() {
            counted.insert(generation, (now, usable_for));
        }
        drop(sessions);
        self.tell();
    }

    pub(super) fn retired(&self, generation: u64, may_come: bool) {
        let now = self.clock.now();
        let mut sessions = self.sessions();
        if sessions.counted.remove(&generation).is_none() && may_come {
            sessions.early.insert(generation, now);
        }
        drop(sessions);
        self.tell();
    }

    fn tell(&self) {
        let recorder = recorder();
        {
            let mut told = told();
            // Counted in here, so that an older count does not take the place of a newer one.
            told.insert((recorder, self.manager), self.sessions().counted.len());
        }
        set(recorder);
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock()
    }
}

impl Drop for Live {
    /// With the manager go its sessions.
    fn drop(&mut self) {
        told().retain(|(_, manager), _| *manager != self.manager);
        set(recorder());
    }
}

/// Sets the gauge out of the lock, since what a recorder does is not ours; and again if the sum changed meanwhile, as another thread
/// may have been faster.
#[allow(clippy::cast_precision_loss)] // never so many
fn set(recorder: Recorder) {
    let sum = || -> usize {
        let managers = (recorder, 0)..=(recorder, u64::MAX);
        told().range(managers).map(|(_, live)| live).sum()
    };
    let mut live = sum();
    loop {
        gauge!(LIVE).set(live as f64);
        let now = sum();
        if now == live {
            return;
        }
        live = now;
    }
}

fn told() -> MutexGuard<'static, BTreeMap<(Recorder, u64), usize>> {
    TOLD.lock()
}

fn recorder() -> Recorder {
    metrics::with_recorder(|recorder| ptr::from_ref(recorder).addr())
}
