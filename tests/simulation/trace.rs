//! What has happened, in the order in which it did.

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;
use sipher_session::{
    ErrorKind, Fingerprint, Proof,
    clock::{Clock, Reading},
    testing::{Operation, TestClock},
};

use crate::{carries::Carries, health::Health};

/// One thing, and what the host's clocks said.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Reading,
    pub(crate) what: Entry,
}

#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// A caller calls; `wants` says whose sessions with which defaults would be right.
    Call {
        n: u64,
        wants: Vec<Partition>,
        without: bool,
        elsewhere: bool,
        /// It is polled later, or its body comes later.
        held: bool,
        /// In a life with inline defaults.
        carries: Option<Carries>,
    },
    /// The layer did not hand the request on at once.
    Waits {
        n: u64,
    },
    /// A caller is done.
    Got {
        n: u64,
        outcome: Got,
        proof: Option<Proof>,
    },
    /// A request leaves the client.
    Sent(Sent),
    /// Its response head is there.
    Head {
        wire: u64,
        status: u16,
        /// How many calls are left in its window, and for how many seconds that goes on.
        stamp: Option<(u32, u32)>,
    },
    /// The server is asked for its health.
    Asks {
        wire: u64,
    },
    /// What it says of it, where that can be used.
    Says {
        wire: u64,
        status: u16,
        said: Option<Health>,
    },
    /// The connection was refused or broke.
    Broke {
        wire: u64,
    },
    /// The whole answer to a session call is there.
    Whole {
        wire: u64,
        status: u16,
        record: Option<Record>,
    },
    /// Nobody waits for it any more, or its body broke off.
    Dropped {
        wire: u64,
    },
    SentElsewhere {
        session: bool,
        key: Option<usize>,
        path: String,
        host: String,
    },
    Weather(String),
    Hand(String),
    Changed {
        from: Partition,
        to: Partition,
    },
    Invalidated {
        id: String,
        /// Whether it was still held.
        held: bool,
    },
    /// Deleted or changed, by who holds the manager.
    ChangedByHand {
        id: String,
    },
    Event(String),
    /// An answer came after the end of the session of this generation: the event comes once for each.
    ToldLate {
        generation: u64,
    },
    /// A session was lost, which had been given to so many requests.
    Lost {
        session: Unprinted,
        requests: u64,
    },
    /// Requests to there pass by outside: the event comes once for each origin.
    ToldOutside {
        origin: String,
    },
    /// So many requests have passed by outside.
    CountedOutside(u64),
    ShutdownBegins,
    Report {
        deleted: usize,
        remaining: usize,
        orphans: u64,
    },
    Abandoned {
        remaining: usize,
        orphans: u64,
    },
    /// Faults are over since long, and so a request must succeed.
    Calm {
        n: u64,
    },
    /// What is alive on the server at the end.
    Alive {
        known: Vec<String>,
        total: usize,
    },
    Tasks(usize),
}

/// Whose sessions, with which defaults.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Partition {
    pub(crate) key: usize,
    pub(crate) defaults: Value,
}

#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) wire: u64,
    pub(crate) operation: Operation,
    /// The caller's number, if it is a caller's.
    pub(crate) n: Option<u64>,
    pub(crate) key: Option<usize>,
    /// The id in the header, or in the path of a session call.
    pub(crate) id: Option<String>,
    /// What a create asks for.
    pub(crate) defaults: Option<Value>,
    pub(crate) by_hand: bool,
}

/// A session as the server described it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) life: Duration,
    /// When it was made, by the server's clock, since 1970.
    pub(crate) made: Duration,
    pub(crate) defaults: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Answer(u16),
    Error(ErrorKind),
    /// An error of the client below.
    Broke,
    GaveUp,
}

#[derive(Clone, Debug)]
pub(crate) struct Trace {
    lines: Arc<Mutex<Vec<Line>>>,
    clock: TestClock,
}

impl Trace {
    pub(crate) fn new(clock: TestClock) -> Self {
        let lines = Arc::default();
        Self { lines, clock }
    }

    pub(crate) fn add(&self, what: Entry) {
        let at = self.clock.now();
        self.with(|lines| lines.push(Line { at, what }));
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Vec<Line>) -> T) -> T {
        look(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) fn text(lines: &[Line]) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    })
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.monotonic.as_secs_f64();
        let short = |id: &str| id.chars().take(13).collect::<String>();
        write!(f, "{at:>10.3} ")?;
        match &self.what {
            Entry::Sent(sent) => {
                let Sent {
                    wire,
                    operation,
                    n,
                    key,
                    id,
                    by_hand,
                    ..
                } = sent;
                let id = id.as_deref().map(short);
                write!(f, "→ {wire} {operation:?} n={n:?} key={key:?} id={id:?}")?;
                if let Some(defaults) = &sent.defaults {
                    write!(f, " {defaults}")?;
                }
                if *by_hand {
                    f.write_str(" by hand")?;
                }
                Ok(())
            }
            Entry::Whole {
                wire,
                status,
                record,
            } => {
                write!(f, "← {wire} {status} whole")?;
                match record {
                    Some(record) => {
                        let id = short(&record.id);
                        write!(f, " {id} {:?} {}", record.life, record.defaults)
                    }
                    None => Ok(()),
                }
            }
            Entry::Alive { known, total } => {
                let known: Vec<_> = known.iter().map(|id| short(id)).collect();
                write!(f, "alive: {known:?} of {total}")
            }
            Entry::Call {
                n,
                wants,
                without,
                elsewhere,
                held,
                carries,
            } => {
                write!(f, "call {n}")?;
                for partition in wants {
                    write!(f, " k{} {}", partition.key, partition.defaults)?;
                }
                write!(f, " without={without} elsewhere={elsewhere} held={held}")?;
                match carries {
                    Some(carries) => write!(f, " {carries:?}"),
                    None => Ok(()),
                }
            }
            Entry::Weather(what) | Entry::Hand(what) | Entry::Event(what) => f.write_str(what),
            Entry::Report {
                deleted,
                remaining,
                orphans,
            } => write!(
                f,
                "report: {deleted} deleted, {remaining} remain, {orphans} orphans"
            ),
            Entry::Invalidated { id, held } => write!(f, "invalidated {} held={held}", short(id)),
            Entry::ChangedByHand { id } => write!(f, "changed by hand {}", short(id)),
            Entry::Got { n, outcome, proof } => {
                write!(f, "got {n}: {outcome:?}")?;
                match proof {
                    Some(Proof::Session {
                        session,
                        left,
                        doubt,
                        ..
                    }) => write!(f, " g{} {left:?} left, {doubt:?}", session.generation),
                    Some(proof) => write!(f, " {proof:?}"),
                    None => Ok(()),
                }
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// Not the same in another process.
#[derive(Clone, Copy)]
pub(crate) struct Unprinted(pub(crate) Fingerprint);

impl fmt::Debug for Unprinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one")
    }
}
