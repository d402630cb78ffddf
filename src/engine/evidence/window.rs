//! Rate-limit windows: what every answer of Sipher's says about the process that wrote it.
//!
//! The application counts the calls of each caller address in a fixed window of time, in its own memory, and writes on
//! every answer how many are left (`RateLimit-Remaining`) and when the window ends (`RateLimit-Reset`, whole seconds,
//! rounded up). A new process begins a new window. Seen from here, an answer's window ends within
//!
//! ```text
//! [ sent + Reset − 1 s,  head received + Reset ]
//! ```
//!
//! An answer that fits a window seen before, with fewer calls left, comes from the process of that window. One that fits
//! none comes from another process, from a window that has just begun, or from another address that the caller was seen
//! with: a CDN has several. That is worth a question, and no verdict.

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::{api::Stamp, clock::Reading};

/// The server rounds what is left of the window up to whole seconds.
const ROUNDED: Duration = Duration::from_secs(1);
/// An answer that took longer says too little about when its window ends to be a proof.
const LONGEST_PROOF: Duration = Duration::from_secs(5);
/// More windows at once are not kept: a server has a few processes, and a CDN a few addresses.
const MOST: usize = 16;
/// So many values of one window are kept apart, more than the server allows in one. The older ones count as one.
const VALUES: usize = 128;

/// When a request was sent, and when the head of its answer was received, or later: of a session call, all of it.
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

    /// In so long, the process may have gone after it had answered, and the next one have begun a window.
    fn takes_long(&self) -> bool {
        self.received().saturating_sub(self.sent()) > LONGEST_PROOF
    }
}

/// What an answer's window says about the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is the process of before.
    Same,
    /// So it is as far as the server has told. But two of its windows are open at once: there are two processes, or two addresses that
    /// the caller is seen with, and nobody knows which.
    Beside,
    /// The window was seen before, and the question about it is not answered yet.
    Pending,
    /// The window is new. `beside` says that it was open together with one that has certainly not ended: a process has one at a
    /// time.
    New { beside: bool },
    /// The answer took so long that it fits too much.
    Vague,
}

/// When a window ends: not before the first and not after the second.
type Ends = (Duration, Duration);

#[derive(Clone, Debug)]
struct Window {
    /// When the request was sent whose answer was the first of it.
    begun: Duration,
    ends: Ends,
    /// How many calls were left, and when that was received, in the order of receipt.
    values: Vec<(Duration, u32)>,
    confirmed: bool,
    /// It began while another was open.
    beside: bool,
}

/// The windows that have not ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Windows(Vec<Window>);

impl Windows {
    /// Notes an answer.
    pub(crate) fn see(&mut self, stamp: Stamp, exchange: Exchange) -> Seen {
        // By when it was sent: what comes back after the end of a window may be of it.
        self.forget_ended(exchange.sent());
        let ends = ends(stamp, exchange);
        // Two that end in the same second may have got each other's answers: what one seems to lack may be the other's.
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

    /// Whether the answer says once more that no calls are left. It may be of this window, and proves nothing.
    fn is_used_up(&self, stamp: Stamp, ends: Ends) -> bool {
        let is_empty = |window: &Window| window.values.iter().any(|(_, left)| *left == 0);
        stamp.remaining == 0
            && self
                .0
                .iter()
                .any(|window| window.overlaps(ends) && is_empty(window))
    }

    /// Begins with the window of an answer that is known to come from the right process.
    pub(crate) fn begin_with(&mut self, stamp: Stamp, exchange: Exchange) {
        self.0.clear();
        self.begin(stamp, exchange, (!exchange.takes_long(), false));
    }

    /// Everything that was received until `asked` came from the right process.
    pub(crate) fn confirm(&mut self, asked: Duration) {
        for window in &mut self.0 {
            window.confirmed |= window.values.first().is_some_and(|(at, _)| *at <= asked);
        }
    }

    /// The process began at that time at the latest. What was begun since is its own: forgotten, one of its answers could pass for the
    /// first of the process after it.
    pub(crate) fn keep_since(&mut self, process: Duration) {
        self.0.retain(|window| window.begun >= process);
        for window in &mut self.0 {
            (window.confirmed, window.beside) = (false, false);
        }
    }

    /// The window of this answer is that of the process which has the session.
    pub(crate) fn is_of_the_session(&mut self, stamp: Stamp, exchange: Exchange) {
        if exchange.takes_long() {
            return;
        }
        let ends = ends(stamp, exchange);
        let is_its = |window: &&mut Window| {
            // When it came as well: another window may have had as many calls left before.
            let noted = (exchange.received(), stamp.remaining);
            window.overlaps(ends) && window.values.contains(&noted)
        };
        for window in self.0.iter_mut().filter(is_its) {
            (window.confirmed, window.beside) = (true, false);
        }
    }

    /// The process is another one.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether nothing is known that has not ended.
    pub(crate) fn is_empty(&self, now: Duration) -> bool {
        self.0.iter().all(|window| window.has_ended(now))
    }

    fn begin(&mut self, stamp: Stamp, exchange: Exchange, (confirmed, beside): (bool, bool)) {
        if self.0.len() == MOST {
            // The one that ends first matters least.
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
    /// Whether the answer can be one of this window: it ends at the same time, fewer calls are left than in all answers that
    /// had been received before this one was asked for, and as many as in none: each call takes one.
    fn fits(&self, stamp: Stamp, exchange: Exchange, ends: Ends) -> bool {
        let is_later = |(at, left): &(Duration, u32)| {
            stamp.remaining < *left || (*at >= exchange.sent() && stamp.remaining != *left)
        };
        self.overlaps(ends) && self.values.iter().all(is_later)
    }

    fn overlaps(&self, (first, last): Ends) -> bool {
        first <= self.ends.1 && self.ends.0 <= last
    }

    /// Whether it certainly goes on, and had begun before the answer's own window ended. An answer that was held up for minutes
    /// may be of a window that ended long before this one began.
    fn is_beside(&self, exchange: Exchange, (first, _): Ends) -> bool {
        let had_begun = self.values.first().is_some_and(|(at, _)| *at <= first);
        exchange.received() < self.ends.0 && had_begun
    }

    fn note(&mut self, stamp: Stamp, exchange: Exchange, (first, last): Ends) {
        self.ends = (self.ends.0.max(first), self.ends.1.min(last));
        self.values.push((exchange.received(), stamp.remaining));
        if self.values.len() > VALUES {
            // Of the two oldest, the lower one at the time of the first: that asks for more, never for less.
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
