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
//! server sees the caller (a CDN has several). So it is a reason to ask, and decides nothing.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::{api::Stamp, clock::Reading};

/// The server rounds the rest of the window up to whole seconds.
const ROUNDED: Duration = Duration::from_secs(1);
/// An answer that took longer is no proof: it says too little about when its window ends.
const LONGEST_PROOF: Duration = Duration::from_secs(5);
/// Like it, for a session call. Its whole answer is timed, and the body may have been held up over a restart.
const LONGEST_CALL: Duration = ROUNDED;
/// The most windows that are kept. A server has a few processes, and a CDN has a few addresses.
const MOST: usize = 16;
/// How many values of one window are kept apart. It is more than the server allows calls in a window. Older values are
/// merged.
const VALUES: usize = 128;

/// When a request was sent and when the head of its answer was received. For a session call, when its whole answer was.
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
    /// It is the known process.
    Same,
    /// It is the known process, as far as the server has told. But two of its windows are open at once. So there are
    /// two processes, or two addresses by which the server sees the caller, and nobody knows which.
    Beside,
    /// The window was seen before, and the question about it is not answered yet.
    Pending,
    /// The window is new. `beside` says whether it was open together with a window that has certainly not ended. One
    /// process has one window at a time.
    New { beside: bool },
    /// The answer took so long that it fits too many windows.
    Vague,
}

/// When a window ends: not before the first time and not after the second.
type Ends = (Duration, Duration);

#[derive(Clone, Debug)]
struct Window {
    /// When the request was sent that got the window's first answer.
    begun: Duration,
    ends: Ends,
    /// How many calls were left, and when that was received, in the order of receipt.
    values: Vec<(Duration, u32)>,
    confirmed: bool,
    /// Whether the window began while another was open.
    beside: bool,
}

/// The windows that have not ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Windows(Vec<Window>);

impl Windows {
    /// Notes an answer.
    pub(crate) fn see(&mut self, stamp: Stamp, exchange: Exchange) -> Seen {
        // The send time counts: an answer that arrives after the end of a window may still belong to it.
        self.forget_ended(exchange.sent());
        let ends = ends(stamp, exchange);
        // If two windows end in the same second, each may have been given the other's answers. An answer that does not
        // fit one of them may then belong to the other.
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

    /// Returns whether the answer repeats that no calls are left. It may be of a known window, and proves nothing.
    fn is_used_up(&self, stamp: Stamp, ends: Ends) -> bool {
        let is_empty = |window: &Window| window.values.iter().any(|(_, left)| *left == 0);
        stamp.remaining == 0
            && self
                .0
                .iter()
                .any(|window| window.overlaps(ends) && is_empty(window))
    }

    /// Begins with the window of an answer that certainly comes from the right process.
    pub(crate) fn begin_with(&mut self, stamp: Stamp, exchange: Exchange) {
        self.0.clear();
        self.begin(stamp, exchange, (!exchange.is_held_up(), false));
    }

    /// Confirms the windows whose first answer was received before `asked`: they are of the right process.
    pub(crate) fn confirm(&mut self, asked: Duration) {
        for window in &mut self.0 {
            window.confirmed |= window.values.first().is_some_and(|(at, _)| *at <= asked);
        }
    }

    /// Keeps the windows that began after `process`, the latest time at which the new process can have begun. They
    /// belong to it. If they were forgotten, a late answer of this process could pass for the first one of the process
    /// after it.
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
            // Compares the time of receipt too: another window may have had as many calls left before.
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

    /// Returns whether no known window is still open.
    pub(crate) fn is_empty(&self, now: Duration) -> bool {
        self.0.iter().all(|window| window.has_ended(now))
    }

    fn begin(&mut self, stamp: Stamp, exchange: Exchange, (confirmed, beside): (bool, bool)) {
        if self.0.len() == MOST {
            // The window that ends first matters least.
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
    /// Returns whether the answer can belong to this window. It must end at the same time. Fewer calls must be left
    /// than in all answers that were received before this request was sent. And no other answer may have had as many
    /// left, since each call takes one.
    fn fits(&self, stamp: Stamp, exchange: Exchange, ends: Ends) -> bool {
        let is_later = |(at, left): &(Duration, u32)| {
            stamp.remaining < *left || (*at >= exchange.sent() && stamp.remaining != *left)
        };
        self.overlaps(ends) && self.values.iter().all(is_later)
    }

    fn overlaps(&self, (first, last): Ends) -> bool {
        first <= self.ends.1 && self.ends.0 <= last
    }

    /// Returns whether this window is certainly still open, and had begun before the answer's own window ended. An
    /// answer that was delayed for minutes may belong to a window that ended long before this one began.
    fn is_beside(&self, exchange: Exchange, (first, _): Ends) -> bool {
        let had_begun = self.values.first().is_some_and(|(at, _)| *at <= first);
        exchange.received() < self.ends.0 && had_begun
    }

    fn note(&mut self, stamp: Stamp, exchange: Exchange, (first, last): Ends) {
        self.ends = (self.ends.0.max(first), self.ends.1.min(last));
        self.values.push((exchange.received(), stamp.remaining));
        if self.values.len() > VALUES {
            // Merges the two oldest values: the lower count, at the earlier time. That makes the test stricter, never
            // laxer.
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
