//! The sessions of a day, from the manager's events.

use std::{collections::BTreeMap, time::Duration};

use sipher_session::{Event, Events, RetireReason, clock::Clock, testing::TestClock};

use super::DAY;

/// A session from its creation to its end.
#[derive(Clone, Copy, Debug)]
pub struct Bar {
    pub from: f64,
    pub to: f64,
    pub end: End,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The session expired, and nothing was reported, because no further request came.
    Expired,
    Retired(RetireReason),
}

#[derive(Debug, Default)]
pub struct Watched {
    pub sessions: Vec<Bar>,
    /// When the loss of a session was reported.
    pub lost: Vec<f64>,
}

/// Listens until the manager is gone.
pub async fn watch(mut events: Events, clock: TestClock, midnight: Duration) -> Watched {
    let mut bars = BTreeMap::new();
    let mut lost = Vec::new();
    while let Some(event) = events.recv().await {
        let now = (clock.now().wall - midnight).as_secs_f64();
        match event {
            Event::Created {
                session,
                usable_for,
                ..
            } => {
                let to = (now + usable_for.as_secs_f64()).min(DAY.as_secs_f64());
                let end = End::Expired;
                bars.insert(session.generation, Bar { from: now, to, end });
            }
            Event::Retired {
                session, reason, ..
            } => {
                let bar: Option<&mut Bar> = bars.get_mut(&session.generation);
                // A session that has already expired is reported again at the shutdown. Keep its first end.
                if let Some(bar) = bar.filter(|bar| now < bar.to) {
                    (bar.to, bar.end) = (now, End::Retired(reason));
                }
            }
            Event::Lost { .. } => lost.push(now),
            _ => {}
        }
    }
    Watched {
        sessions: bars.into_values().collect(),
        lost,
    }
}
