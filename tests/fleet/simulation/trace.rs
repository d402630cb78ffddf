//! The events of a run, in their order.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use sipher_session::{ShutdownReport, testing::Operation};
use tokio::time::Instant;

use super::script::Deed;

/// One life of a process on its machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Who {
    pub(crate) place: usize,
    pub(crate) life: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Duration,
    pub(crate) what: Entry,
}

#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Starts(Who),
    /// A caller makes a request.
    Asks {
        who: Who,
        n: u64,
        held_up: Duration,
    },
    /// The request leaves the layer.
    Departs {
        who: Who,
        n: u64,
        id: Option<String>,
        /// Whether the server has that session at this moment.
        is_live: bool,
    },
    /// The network carries nothing of this request any more, whether or not its caller waited.
    Ended {
        n: u64,
    },
    Got {
        n: u64,
        outcome: String,
    },
    Call {
        who: Who,
        call: u64,
        operation: Operation,
        key: String,
        /// The session, or the requested defaults.
        about: String,
    },
    /// The answer has arrived in full, or there will be none.
    Answered {
        call: u64,
        status: Option<u16>,
    },
    Invalidated {
        who: Who,
        id: String,
    },
    /// This process deleted, changed or leaked the session, and tells the others.
    TakenOut {
        who: Who,
        id: String,
    },
    /// A change begins: with a patch, or with complete defaults.
    Change {
        who: Who,
        n: u64,
        to: Value,
        is_patch: bool,
    },
    /// Whether the change was made, if that is certain.
    Changed {
        n: u64,
        is_made: Option<bool>,
    },
    Deed(Deed),
    Event(Who, String),
    ShutDown {
        who: Who,
        report: ShutdownReport,
    },
    Asleep,
    Calm,
    /// Enough time has passed since all trouble ended.
    Well,
    /// The session on the last request of every process, with its key and defaults. Repeated until all agree.
    Last(Vec<(Who, String, Option<String>)>),
    End {
        live: usize,
        tasks: usize,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct Trace {
    lines: Arc<Mutex<Vec<Line>>>,
    start: Instant,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            lines: Arc::default(),
            start: Instant::now(),
        }
    }

    pub(crate) fn add(&self, what: Entry) {
        let at = self.start.elapsed();
        self.lines.lock().unwrap().push(Line { at, what });
    }

    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.lines.lock().unwrap())
    }
}

pub(crate) fn short(id: &str) -> &str {
    id.get(..13).unwrap_or(id)
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.3} ", self.at.as_secs_f64())?;
        match &self.what {
            Entry::Asks { who, n, .. } => write!(f, "{who} asks {n}"),
            Entry::Departs {
                who,
                n,
                id,
                is_live,
            } => {
                let id = id.as_deref().map(short);
                write!(f, "{who} → {n} {id:?} live={is_live}")
            }
            Entry::Got { n, outcome } => write!(f, "{n}: {outcome}"),
            Entry::Call {
                who,
                call,
                operation,
                about,
                ..
            } => write!(f, "{who} ⇒ call {call} {operation:?} {}", short(about)),
            Entry::Answered { call, status } => write!(f, "call {call}: {status:?}"),
            Entry::Event(who, event) => write!(f, "{who} {event}"),
            Entry::ShutDown { who, report } => write!(f, "{who} {report}"),
            Entry::Last(all) => {
                let all = all.iter().map(|(who, partition, id)| {
                    format!("{who} {partition} {:?}", id.as_deref().map(short))
                });
                write!(f, "last: {:?}", all.collect::<Vec<_>>())
            }
            Entry::Starts(who) => write!(f, "{who} starts"),
            Entry::Deed(deed) => write!(f, "{deed:?}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}.{}", self.place, self.life)
    }
}
