//! The events of a run, in their order.

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

/// One event, and the time on the host's clocks.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Reading,
    pub(crate) what: Entry,
}

#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// A caller makes a request. `wants` lists the partitions whose session would be right.
    Call {
        n: u64,
        wants: Vec<Partition>,
        without: bool,
        elsewhere: bool,
        /// The future is polled later, or the body comes later.
        held: bool,
        /// Only in a life with inline defaults.
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
    /// The head of its response has arrived.
    Head {
        wire: u64,
        status: u16,
        /// How many calls are left in the rate-limit window, and in how many seconds it ends.
        stamp: Option<(u32, u32)>,
    },
    /// The manager asks for the server's health.
    Asks {
        wire: u64,
    },
    /// The answer of health, if it is usable.
    Says {
        wire: u64,
        status: u16,
        said: Option<Health>,
    },
    /// The connection was refused or broke.
    Broke {
        wire: u64,
    },
    /// The complete answer to a session call has arrived.
    Whole {
        wire: u64,
        status: u16,
        record: Option<Record>,
    },
    /// Nobody waits for the answer any more, or its body broke off.
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
        /// Whether the manager still used the session.
        held: bool,
    },
    /// The owner of the manager deleted or changed the session.
    ChangedByHand {
        id: String,
    },
    Event(String),
    /// An answer came after the end of the session of this generation. The event comes once for each session.
    ToldLate {
        generation: u64,
    },
    /// A session was lost, which this many requests had carried.
    Lost {
        session: Unprinted,
        requests: u64,
    },
    /// Requests to this origin look like Sipher's, but go elsewhere. The event comes once for each origin.
    ToldOutside {
        origin: String,
    },
    /// The number of such requests.
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
    /// All faults ended long ago, so this request must succeed.
    Calm {
        n: u64,
    },
    /// The sessions that are alive on the server at the end.
    Alive {
        known: Vec<String>,
        total: usize,
    },
    Tasks(usize),
}

/// The API key and the defaults of a session.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Partition {
    pub(crate) key: usize,
    pub(crate) defaults: Value,
}

#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) wire: u64,
    pub(crate) operation: Operation,
    /// The number of the caller's request, if a caller made it.
    pub(crate) n: Option<u64>,
    pub(crate) key: Option<usize>,
    /// The session id in the header, or in the path of a session call.
    pub(crate) id: Option<String>,
    /// The defaults that a create asks for.
    pub(crate) defaults: Option<Value>,
    pub(crate) by_hand: bool,
}

/// A session as the server described it.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) life: Duration,
    /// When the session was created, by the server's clock, since 1970.
    pub(crate) made: Duration,
    pub(crate) defaults: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Answer(u16),
    Error(ErrorKind),
    /// An error of the client below the layer.
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

/// A fingerprint differs between processes, so the trace does not print it.
#[derive(Clone, Copy)]
pub(crate) struct Unprinted(pub(crate) Fingerprint);

impl fmt::Debug for Unprinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one")
    }
}
