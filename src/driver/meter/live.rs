//! Counts the live sessions of this process, for a gauge.

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

/// How long after its retirement a session's `Created` event may come.
const OUT_OF_ORDER: Duration = Duration::from_secs(60);

/// What each manager adds to the gauge of each recorder. A program has one recorder, tests have several. The gauge is
/// always set to the sum, and never changed by a difference. Exporters forget a series that is idle, and a difference
/// would then start from zero.
static TOLD: Lock<BTreeMap<(Recorder, u64), usize>> = Lock::new(BTreeMap::new());

/// The address of a recorder.
type Recorder = usize;

/// The sessions of one manager that are counted in the gauge.
#[derive(Debug)]
pub(super) struct Live {
    manager: u64,
    clock: Arc<dyn Clock>,
    sessions: Lock<Sessions>,
}

/// The sessions by generation. A session that expires gets no `Retired` event. So the count would only grow if it
/// were changed by one for each `Created` and each `Retired` event.
#[derive(Debug, Default)]
struct Sessions {
    /// When each session was counted, and for how long it can be used.
    counted: HashMap<u64, (Reading, Duration)>,
    /// Sessions that were retired before their `Created` event came.
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
            // Count under this lock, so that an older count cannot overwrite a newer one.
            told.insert((recorder, self.manager), self.sessions().counted.len());
        }
        set(recorder);
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock()
    }
}

impl Drop for Live {
    /// Removes the manager's sessions from the gauge.
    fn drop(&mut self) {
        told().retain(|(_, manager), _| *manager != self.manager);
        set(recorder());
    }
}

/// Sets the gauge without holding the lock, because a recorder may run other code. If the sum has changed meanwhile,
/// sets it again: another thread may have set a newer sum earlier.
#[allow(clippy::cast_precision_loss)] // the sum is never that large
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
