//! Rate-limit windows: what every answer of Sipher says about the process that wrote it.
//!
//! The application counts the calls of each caller address in a fixed window of time, in its own memory. Every answer
//! says how many calls are left (`RateLimit-Remaining`) and when the window ends (`RateLimit-Reset`, whole seconds,
//! rounded up). A new process begins a new window. For the client, an answer's window ends within
//!
//! ```text
//! [ sent + Reset − 1 s,  head received + Reset ]
//! ```
//!
//! An answer that fits a known window, with fewer calls left, comes from the process of that window. An answer that
//! fits none has three explanations: another process, a window that has just begun, or another address by which the
//! server sees the caller (a CDN has several). So it is a reason to ask the server, and decides nothing.
//!
//! A window is *confirmed* once it is certain that the process of this window has the sessions. It is *beside* another
//! one if it began before that one had ended: then two processes may be running.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::{api::Stamp, clock::Reading};

/// How much earlier a window may end than `RateLimit-Reset` says: the server rounds up to whole seconds.
const ROUNDED: Duration = Duration::from_secs(1);
/// An answer that took longer than this is no proof: it says too little about when its window ends.
const LONGEST_PROOF: Duration = Duration::from_secs(5);
/// A session call that took longer than this is no proof. Its time includes the body, and the server may have restarted
/// while the body was delayed.
const LONGEST_CALL: Duration = ROUNDED;
/// The most windows that are kept. A server has a few processes, and a CDN has a few addresses.
const MOST: usize = 16;
/// How many values of one window are kept apart; older ones are merged. The server allows fewer calls in a window.
const VALUES: usize = 128;

/// When a request was sent and when the head of its answer was received. For a session call, the second time is when
/// its whole answer was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    pub(crate) sent: Reading,
    pub(crate) received: Reading,
}

impl Exchange {
    fn sent(&self) -> Duration {
        self.sent.monotonic
    }

    fn received(&self) -> Duration {
        self.received.monotonic
    }

    fn takes_long(&self) -> bool {
        self.received().saturating_sub(self.sent()) > LONGEST_PROOF
    }

    /// Returns whether this session call took so long that the process may have ended after its answer, and the next
    /// process may have begun a window.
    pub(crate) fn is_held_up(&self) -> bool {
        self.received().saturating_sub(self.sent()) > LONGEST_CALL
    }
}

/// What an answer's window says about the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The answer comes from the known process.
    Same,
    /// The window is known, but it began before another known window had ended. So there are two processes, or two
    /// addresses by which the server sees the caller. The answer cannot tell which.
    Beside,
    /// The answer may belong to a window that is not confirmed yet, or repeats that no calls are left. It proves
    /// nothing, and is no new reason to ask.
    Pending,
    /// The window is new. `beside` says whether it began before a known window had ended. One process has one window at
    /// a time, so that looks like another process.
    New { beside: bool },
    /// The answer took so long that it fits too many windows.
    Vague,
}

/// When a window ends: not before the first time and not after the second. Both are monotonic.
type Ends = (Duration, Duration);

#[derive(Clone, Debug)]
struct Window {
    /// When the request was sent that got the window's first answer.
    begun: Duration,
    ends: Ends,
    /// How many calls were left, and when that was received, in the order of receipt.
    values: Vec<(Duration, u32)>,
    /// Whether it is certain that the process of this window has the sessions.
    confirmed: bool,
    /// Whether the window began before another one had ended.
    beside: bool,
}

/// The windows that have not ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Windows(Vec<Window>);

impl Windows {
    /// Notes an answer, and returns what its window says about the process.
    pub(crate) fn see(&mut self, stamp: Stamp, exchange: Exchange) -> Seen {
        // The send time counts: an answer that arrives after the end of a window may still belong to it.
        self.forget_ended(exchange.sent());
        let ends = ends(stamp, exchange);
        // Example: after a restart, the old and the new process have windows that end in the same second. Then nobody
        // can tell to which of them an answer belongs. So no answer proves anything while it may belong to an
        // unconfirmed window.
        let is_open = |window: &Window| !window.confirmed && window.overlaps(ends);
        let is_mixed = self.0.iter().any(is_open);
        let fitting = self
            .0
            .iter_mut()
            .filter(|window| window.fits(stamp, exchange, ends));
        let Some(window) = fitting.min_by_key(|window| window.confirmed) else {
            if self.is_used_up(stamp, ends) {
                return Seen::Pending;
            }
            let beside = self.0.iter().any(|window| window.is_beside(exchange, ends));
            self.begin(stamp, exchange, (false, beside));
            return Seen::New { beside };
        };
        if exchange.takes_long() {
            return Seen::Vague;
        }
        window.note(stamp, exchange, ends);
        match (is_mixed, window.beside) {
            (false, false) => Seen::Same,
            (false, true) => Seen::Beside,
            (true, _) => Seen::Pending,
        }
    }

    /// Returns whether no calls are left by this answer, and by an earlier one of a window that it may belong to. A
    /// used-up window repeats the value 0, so the answer proves nothing and is no reason to ask.
    fn is_used_up(&self, stamp: Stamp, ends: Ends) -> bool {
        let is_empty = |window: &Window| window.values.iter().any(|(_, left)| *left == 0);
        stamp.remaining == 0
            && self
                .0
                .iter()
                .any(|window| window.overlaps(ends) && is_empty(window))
    }

    /// Forgets all windows, and begins with the one of this answer. Called if the process that answered is the right
    /// one by definition, as for the first create.
    pub(crate) fn begin_with(&mut self, stamp: Stamp, exchange: Exchange) {
        self.0.clear();
        self.begin(stamp, exchange, (!exchange.is_held_up(), false));
    }

    /// Confirms the windows whose first answer was received before `asked`. The answer to a call sent at `asked` says
    /// which process runs, and these windows are its own.
    pub(crate) fn confirm(&mut self, asked: Duration) {
        for window in &mut self.0 {
            window.confirmed |= window.values.first().is_some_and(|(at, _)| *at <= asked);
        }
    }

    /// Forgets the windows from before a restart. Keeps those that began after `process`, the latest time at which the
    /// new process can have begun: they belong to the new process.
    ///
    /// Example of why they are kept: the process restarts again. If its windows were forgotten, a late answer of it
    /// would begin a window that passes for one of the process after it.
    pub(crate) fn keep_since(&mut self, process: Duration) {
        self.0.retain(|window| window.begun >= process);
        for window in &mut self.0 {
            (window.confirmed, window.beside) = (false, false);
        }
    }

    /// Records that the window of this answer belongs to the process that has the session.
    pub(crate) fn is_of_the_session(&mut self, stamp: Stamp, exchange: Exchange) {
        if exchange.is_held_up() {
            return;
        }
        let ends = ends(stamp, exchange);
        let is_its = |window: &&mut Window| {
            // Compare the time of receipt too: an older answer of another window may have had as many calls left.
            let noted = (exchange.received(), stamp.remaining);
            window.overlaps(ends) && window.values.contains(&noted)
        };
        for window in self.0.iter_mut().filter(is_its) {
            (window.confirmed, window.beside) = (true, false);
        }
    }

    /// Forgets all windows, because the process is another one.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns whether all known windows have ended.
    pub(crate) fn is_empty(&self, now: Duration) -> bool {
        self.0.iter().all(|window| window.has_ended(now))
    }

    fn begin(&mut self, stamp: Stamp, exchange: Exchange, (confirmed, beside): (bool, bool)) {
        if self.0.len() == MOST {
            // Drop the window that ends first, because it would be forgotten soonest anyway.
            let first = self
                .0
                .iter()
                .enumerate()
                .min_by_key(|(_, window)| window.ends.1);
            if let Some((index, _)) = first {
                self.0.swap_remove(index);
            }
        }
        self.0.push(Window {
            begun: exchange.sent(),
            ends: ends(stamp, exchange),
            values: vec![(exchange.received(), stamp.remaining)],
            confirmed,
            beside,
        });
    }

    fn forget_ended(&mut self, now: Duration) {
        self.0.retain(|window| !window.has_ended(now));
    }
}

impl Window {
    /// Returns whether the answer can belong to this window. Three things must hold:
    ///
    /// - It ends at the same time.
    /// - Fewer calls are left than in each answer that was received before this request was sent.
    /// - No other answer of the window had as many calls left, since each call takes one.
    fn fits(&self, stamp: Stamp, exchange: Exchange, ends: Ends) -> bool {
        let is_later = |(at, left): &(Duration, u32)| {
            stamp.remaining < *left || (*at >= exchange.sent() && stamp.remaining != *left)
        };
        self.overlaps(ends) && self.values.iter().all(is_later)
    }

    fn overlaps(&self, (first, last): Ends) -> bool {
        first <= self.ends.1 && self.ends.0 <= last
    }

    /// Returns whether the answer's window was certainly open together with this one.
    ///
    /// This window must not have ended yet, and must have begun before the answer's window can have ended. The second
    /// test is for an answer that was delayed for minutes: its window may have ended long before this one began.
    fn is_beside(&self, exchange: Exchange, (first, _): Ends) -> bool {
        let had_begun = self.values.first().is_some_and(|(at, _)| *at <= first);
        exchange.received() < self.ends.0 && had_begun
    }

    fn note(&mut self, stamp: Stamp, exchange: Exchange, (first, last): Ends) {
        self.ends = (self.ends.0.max(first), self.ends.1.min(last));
        self.values.push((exchange.received(), stamp.remaining));
        if self.values.len() > VALUES {
            // Merge the two oldest values: keep the lower count and the earlier time. So an answer may seem not to fit
            // although it does, but never the other way round.
            let (_, left) = self.values.remove(1);
            let oldest = &mut self.values[0].1;
            *oldest = (*oldest).min(left);
        }
    }

    fn has_ended(&self, now: Duration) -> bool {
        self.ends.1 < now
    }
}

fn ends(stamp: Stamp, exchange: Exchange) -> Ends {
    let first = exchange
        .sent()
        .saturating_add(stamp.reset)
        .saturating_sub(ROUNDED);
    (first, exchange.received().saturating_add(stamp.reset))
}
