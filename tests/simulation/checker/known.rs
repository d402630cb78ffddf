//! What the client is known to know.

use std::{collections::HashSet, time::Duration};

use sipher_session::{Proof, clock::Reading};

use super::health::{CLOCK_STEP, LONG_IDLE};
use crate::trace::{Got, Partition, Sent};

/// How much later than its deadline a create counts as lost.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// How much earlier a use may seem to have been.
const NOTED: Duration = Duration::from_secs(1);

/// A session that the client knows of.
#[derive(Clone)]
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own
pub(super) struct Known {
    pub(super) partition: Partition,
    pub(super) born: Reading,
    pub(super) life: Duration,
    /// How many signs of trouble there had been when the call that proved it alive was sent.
    pub(super) proved: Signs,
    /// The server does not know it, or not as it was made, and has said so.
    pub(super) doubted: bool,
    pub(super) out_of_use: Option<&'static str>,
    pub(super) by_hand: bool,
    /// By the host's clock at some time, even if that was set back later.
    pub(super) over: bool,
    /// When the server's clock was first stepped forward in its life, by line.
    pub(super) jumped: Option<usize>,
    /// By the server's clock, since 1970.
    pub(super) made: Duration,
    /// When its create was answered, on the clock that is never set.
    pub(super) landed: Duration,
    pub(super) landed_line: usize,
    pub(super) used: Reading,
    /// The longest time without a use since it was last asked for.
    pub(super) idle: Duration,
    pub(super) was_asked_for: bool,
    /// When it was last asked for, and found, on the clock that is never set.
    pub(super) found: (Duration, Duration),
}

impl Known {
    /// Whether it may have been idle for so long that it is asked for by itself. Uses in quick succession are noted once.
    pub(super) fn is_idle(&self, now: Reading) -> bool {
        let long = (self.life / 4).max(LONG_IDLE);
        self.idle.max(now.since(self.used)) + NOTED >= long
    }

    /// Whether it was made or found so soon before or after a restart that health cannot tell the two apart.
    pub(super) fn is_near(&self, restart: Duration) -> bool {
        let second = Duration::from_secs(2);
        let is_near = restart + second >= self.born.monotonic && restart <= self.landed + second;
        let (asked, found) = self.found;
        is_near || (restart + second >= asked && restart <= found + second)
    }

    /// The wall clock goes back, and with it what it knew of a sleep: by the server's clock it expires early from here on.
    pub(super) fn forgets_sleep(&mut self, now: Reading) {
        self.over |= self.left(now).is_zero();
        let awake = now.monotonic.saturating_sub(self.born.monotonic);
        self.doubted |= now.since(self.born) > awake + CLOCK_STEP;
    }

    pub(super) fn left(&self, now: Reading) -> Duration {
        self.life.saturating_sub(now.since(self.born))
    }

    /// What is left when the server's clock says this.
    pub(super) fn left_there(&self, clock: Duration) -> Duration {
        (self.made + self.life).saturating_sub(clock)
    }

    pub(super) fn hard(&self) -> Duration {
        self.life
            .mul_f64(0.03)
            .clamp(Duration::from_secs(5), Duration::from_secs(60))
    }
}

/// The tries of a partition's creates that have failed since `begun`: the next may be one more of the same create.
pub(super) struct Tries {
    pub(super) partition: Partition,
    pub(super) begun: Reading,
}

impl Flying {
    /// Whether a waiter may have given it up by `now`, `timeout` after it began.
    ///
    /// A create's deadline counts from its first try. Which tries belong together cannot be seen from outside, so that counts
    /// only where the wall clock has moved ahead; otherwise a retry ends by its own deadline.
    pub(super) fn is_overdue(&self, timeout: Duration, now: Reading) -> bool {
        let elapsed = now.since(self.begun);
        let is_ahead = elapsed > now.monotonic.saturating_sub(self.begun.monotonic);
        let since = if is_ahead {
            elapsed
        } else {
            now.since(self.at)
        };
        self.overdue || since >= timeout
    }
}

/// Sessions of which an answer came after their end, by generation.
#[derive(Default)]
pub(super) struct Late {
    pub(super) proved: HashSet<u64>,
    pub(super) told: HashSet<u64>,
    /// There were more events than were heard.
    pub(super) missed: bool,
}

/// Signs of trouble that the client has seen.
#[derive(Clone, Copy, Default)]
pub(super) struct Signs {
    /// After which no session may be used unproved.
    pub(super) certain: u64,
    /// These, and those that the manager is free to take for one.
    pub(super) possible: u64,
}

impl Signs {
    pub(super) fn or_later(self, other: Self) -> Self {
        Self {
            certain: self.certain.max(other.certain),
            possible: self.possible.max(other.possible),
        }
    }
}

/// Failures of one moment.
#[derive(Default)]
pub(super) struct Breaks {
    at: Duration,
    count: usize,
    /// How many possible signs there had been before them.
    before: u64,
}

impl Breaks {
    pub(super) fn add(&mut self, at: Duration, before: u64) {
        if self.count == 0 || self.at != at {
            *self = Self {
                at,
                count: 0,
                before,
            };
        }
        self.count += 1;
    }

    /// The possible signs from before this moment, if there were several failures in it.
    pub(super) fn of_many(&self, now: Reading) -> Option<u64> {
        (self.count > 1 && self.at == now.monotonic).then_some(self.before)
    }
}

#[allow(clippy::struct_excessive_bools)] // each says something else of the request
pub(super) struct Asked {
    pub(super) wants: Vec<Partition>,
    pub(super) without: bool,
    pub(super) elsewhere: bool,
    /// Its future was polled later than it was made.
    pub(super) held: bool,
    pub(super) at: Reading,
    /// By line.
    pub(super) index: usize,
    pub(super) signs: Signs,
    pub(super) sent: Option<Sent>,
    pub(super) sent_at: Reading,
    /// It was sent at the very moment at which an answer came.
    pub(super) met_a_head: bool,
    pub(super) head: Option<Head>,
    pub(super) outcome: Option<Got>,
    /// What came of its sending was a sign, and so it may be sent once more.
    pub(super) met_sign: bool,
    pub(super) proof: Option<Proof>,
}

#[allow(clippy::struct_excessive_bools)] // each is a fact of its own
pub(super) struct Flying {
    pub(super) sent: Sent,
    pub(super) at: Reading,
    /// When the first try was sent of which this may be a retry.
    pub(super) begun: Reading,
    /// Its deadline had passed at some time, by the host's clock, even if that was set back later.
    pub(super) overdue: bool,
    pub(super) signs: Signs,
    /// Its partition's session has been invalidated since: another may begin.
    pub(super) fenced: bool,
    /// And what it brings is not to be used.
    pub(super) barred: bool,
    /// When the server's clock was first stepped forward meanwhile, by line.
    pub(super) jumped: Option<usize>,
    pub(super) is_stamped: bool,
}

/// The head of an answer.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// By line.
    pub(super) index: usize,
    /// On the clock that is never set.
    pub(super) at: Duration,
    /// How long after the one before.
    pub(super) pause: Duration,
    /// It was there as soon as its request was sent, as no server's is.
    pub(super) at_once: bool,
    /// It says what is left of its window.
    pub(super) is_stamped: bool,
}
