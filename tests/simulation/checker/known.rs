//! What the client knows, as far as the checker can tell.

use std::{collections::HashSet, time::Duration};

use sipher_session::{Proof, clock::Reading};

use super::health::{CLOCK_STEP, LONG_IDLE};
use crate::trace::{Got, Partition, Sent};

/// A create counts as lost this long after its deadline.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// A use may seem to be this much older than it is.
const NOTED: Duration = Duration::from_secs(1);

/// A session that the client knows.
#[derive(Clone)]
#[allow(clippy::struct_excessive_bools)] // each is a separate fact
pub(super) struct Known {
    pub(super) partition: Partition,
    pub(super) born: Reading,
    pub(super) life: Duration,
    /// The signs of trouble that had been seen when the call that proved this session was sent.
    pub(super) proved: Signs,
    /// The server has said that it does not know the session, or has other defaults for it.
    pub(super) doubted: bool,
    pub(super) out_of_use: Option<&'static str>,
    pub(super) by_hand: bool,
    /// The session had expired at some time, by the host's clock, even if that clock was set back later.
    pub(super) over: bool,
    /// The line at which the server's clock was first stepped forward in the session's life.
    pub(super) jumped: Option<usize>,
    /// When the session was created, by the server's clock, since 1970.
    pub(super) made: Duration,
    /// When its create was answered, in monotonic time.
    pub(super) landed: Duration,
    pub(super) landed_line: usize,
    pub(super) used: Reading,
    /// The longest time without a use since the session was last asked for.
    pub(super) idle: Duration,
    pub(super) was_asked_for: bool,
    /// When the last successful call for the session was sent and answered, in monotonic time.
    pub(super) found: (Duration, Duration),
}

impl Known {
    /// Whether the session may have been idle for so long that the manager asks for it. Uses in quick succession are
    /// noted once.
    pub(super) fn is_idle(&self, now: Reading) -> bool {
        let long = (self.life / 4).max(LONG_IDLE);
        self.idle.max(now.since(self.used)) + NOTED >= long
    }

    /// Whether the session was created or found so close to a restart that health cannot tell their order.
    pub(super) fn is_near(&self, restart: Duration) -> bool {
        let second = Duration::from_secs(2);
        let is_near = restart + second >= self.born.monotonic && restart <= self.landed + second;
        let (asked, found) = self.found;
        is_near || (restart + second >= asked && restart <= found + second)
    }

    /// The wall clock is set back, and does not show an earlier sleep any more. By the server's clock, the session then
    /// expires earlier than the client thinks.
    pub(super) fn forgets_sleep(&mut self, now: Reading) {
        self.over |= self.left(now).is_zero();
        self.doubted |= self.seems_asleep(now);
    }

    /// Whether more time has passed by the wall clock than by the monotonic clock since the session was created.
    pub(super) fn seems_asleep(&self, now: Reading) -> bool {
        let awake = now.monotonic.saturating_sub(self.born.monotonic);
        now.since(self.born) > awake + CLOCK_STEP
    }

    pub(super) fn left(&self, now: Reading) -> Duration {
        self.life.saturating_sub(now.since(self.born))
    }

    /// Returns how much of the session's life is left when the server's clock shows `clock`.
    pub(super) fn left_there(&self, clock: Duration) -> Duration {
        (self.made + self.life).saturating_sub(clock)
    }

    pub(super) fn hard(&self) -> Duration {
        self.life
            .mul_f64(0.03)
            .clamp(Duration::from_secs(5), Duration::from_secs(60))
    }
}

/// The failed tries of a partition's creates since `begun`. The next call may be another try of the same create.
pub(super) struct Tries {
    pub(super) partition: Partition,
    pub(super) begun: Reading,
}

impl Flying {
    /// Whether a waiter may have given the create up by `now`, `timeout` after it began.
    ///
    /// A create's deadline counts from its first try. The trace does not show which tries belong to one create. So this
    /// counts only if the wall clock has moved ahead. Otherwise a retry ends by its own deadline.
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

/// Sessions for which an answer came after their end, by generation.
#[derive(Default)]
pub(super) struct Late {
    pub(super) proved: HashSet<u64>,
    pub(super) told: HashSet<u64>,
    /// Some events were missed.
    pub(super) missed: bool,
}

/// Signs of trouble that the client has seen.
#[derive(Clone, Copy, Default)]
pub(super) struct Signs {
    /// Signs after which no session may be used without a proof.
    pub(super) certain: u64,
    /// The certain signs, and those that the manager may treat as one.
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

/// Failures at the same moment.
#[derive(Default)]
pub(super) struct Breaks {
    at: Duration,
    count: usize,
    /// The number of possible signs before these failures.
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

    /// Returns the possible signs from before this moment, if several failures happened in it.
    pub(super) fn of_many(&self, now: Reading) -> Option<u64> {
        (self.count > 1 && self.at == now.monotonic).then_some(self.before)
    }
}

#[allow(clippy::struct_excessive_bools)] // each is a separate fact
pub(super) struct Asked {
    pub(super) wants: Vec<Partition>,
    pub(super) without: bool,
    pub(super) elsewhere: bool,
    /// The future of the request was polled later than it was created.
    pub(super) held: bool,
    pub(super) at: Reading,
    /// The line of the trace.
    pub(super) index: usize,
    pub(super) signs: Signs,
    pub(super) sent: Option<Sent>,
    pub(super) sent_at: Reading,
    /// The request was sent at the very moment at which an answer came.
    pub(super) met_a_head: bool,
    pub(super) head: Option<Head>,
    pub(super) outcome: Option<Got>,
    /// The outcome of the sending was a sign, so the request may be sent again.
    pub(super) met_sign: bool,
    pub(super) proof: Option<Proof>,
}

#[allow(clippy::struct_excessive_bools)] // each is a separate fact
pub(super) struct Flying {
    pub(super) sent: Sent,
    pub(super) at: Reading,
    /// When the first try was sent. This call may be a later try.
    pub(super) begun: Reading,
    /// The deadline had passed at some time, by the host's clock, even if that clock was set back later.
    pub(super) overdue: bool,
    pub(super) signs: Signs,
    /// The partition's session has been invalidated since then, so another create may begin.
    pub(super) fenced: bool,
    /// Whether the session that this create brings must not be used either.
    pub(super) barred: bool,
    /// The line at which the server's clock was first stepped forward during the create.
    pub(super) jumped: Option<usize>,
    pub(super) is_stamped: bool,
}

/// The head of an answer.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// The line of the trace.
    pub(super) index: usize,
    /// The monotonic time.
    pub(super) at: Duration,
    /// The time since the previous head.
    pub(super) pause: Duration,
    /// The head arrived at the moment at which its request was sent. No real server is that fast.
    pub(super) at_once: bool,
    /// The head has rate-limit headers.
    pub(super) is_stamped: bool,
}
