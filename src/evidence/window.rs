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

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use crate::clock::Reading;

/// The server rounds what is left of the window up to whole seconds.
const ROUNDED: Duration = Duration::from_secs(1);
/// An answer that took longer says too little about when its window ends to be a proof.
const LONGEST_PROOF: Duration = Duration::from_secs(5);
/// More windows at once are not kept: a server has a few processes, and a CDN a few addresses.
const MOST: usize = 16;
/// So many values of one window are kept apart. The older ones count as one.
const VALUES: usize = 16;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Whether Sipher's application wrote an answer with these headers, and not a gateway in front of it.
pub(crate) fn is_by_application(headers: &HeaderMap) -> bool {
    headers.contains_key(POLICY) && headers.contains_key(REQUEST_ID)
}

/// When a request was sent, and when the head of its answer was received.
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
}

/// What the headers of one answer say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    remaining: u32,
    reset: Duration,
}

impl Stamp {
    /// `None` if the application did not write them.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let number = |name| headers.get(name)?.to_str().ok()?.trim().parse().ok();
        let (remaining, reset): (u32, u32) = (number(REMAINING)?, number(RESET)?);
        is_by_application(headers).then(|| Self {
            remaining,
            reset: Duration::from_secs(reset.into()),
        })
    }

    #[cfg(test)]
    pub(super) fn new(remaining: u32, reset: u32) -> Self {
        let reset = Duration::from_secs(reset.into());
        Self { remaining, reset }
    }
}

/// What an answer's window says about the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is the process of before.
    Same,
    /// The window was seen before, and the question about it is not answered yet.
    Pending,
    /// The window is new. `beside` says that an older one has certainly not ended: a process that went on would be in it.
    New { beside: bool },
    /// The answer took so long that it fits too much.
    Vague,
}

/// When a window ends: not before the first and not after the second.
type Ends = (Duration, Duration);

#[derive(Clone, Debug)]
struct Window {
    ends: Ends,
    /// How many calls were left, and when that was received, in the order of receipt.
    values: Vec<(Duration, u32)>,
    confirmed: bool,
}

/// The windows that have not ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Windows(Vec<Window>);

impl Windows {
    /// Notes an answer.
    pub(crate) fn see(&mut self, stamp: Stamp, exchange: Exchange) -> Seen {
        self.forget_ended(exchange.received());
        let ends = ends(stamp, exchange);
        let takes_long = exchange.received().saturating_sub(exchange.sent()) > LONGEST_PROOF;
        let fitting = self
            .0
            .iter_mut()
            .filter(|window| window.fits(stamp, exchange, ends));
        // Where it may be one of several, it proves no more than the least of them.
        let Some(window) = fitting.min_by_key(|window| window.confirmed) else {
            let goes_on = |window: &Window| window.confirmed && exchange.received() < window.ends.0;
            let beside = self.0.iter().any(goes_on);
            self.begin(stamp, exchange, false);
            return Seen::New { beside };
        };
        if takes_long {
            return Seen::Vague;
        }
        window.note(stamp, exchange, ends);
        if window.confirmed {
            Seen::Same
        } else {
            Seen::Pending
        }
    }

    /// Begins with the window of an answer that is known to come from the right process.
    pub(crate) fn begin_with(&mut self, stamp: Stamp, exchange: Exchange) {
        self.0.clear();
        self.begin(stamp, exchange, true);
    }

    /// Everything that was received until `asked` came from the right process.
    pub(crate) fn confirm(&mut self, asked: Duration) {
        for window in &mut self.0 {
            window.confirmed |= window.values.first().is_some_and(|(at, _)| *at <= asked);
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

    fn begin(&mut self, stamp: Stamp, exchange: Exchange, confirmed: bool) {
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
            ends: ends(stamp, exchange),
            values: vec![(exchange.received(), stamp.remaining)],
            confirmed,
        });
    }

    fn forget_ended(&mut self, now: Duration) {
        self.0.retain(|window| !window.has_ended(now));
    }
}

impl Window {
    /// Whether the answer can be one of this window: it ends at the same time, fewer calls are left than in all answers that
    /// had been received before this one was asked for, and as many as in none: each call takes one.
    fn fits(&self, stamp: Stamp, exchange: Exchange, (first, last): Ends) -> bool {
        let overlaps = first <= self.ends.1 && self.ends.0 <= last;
        let is_later = |(at, left): &(Duration, u32)| {
            stamp.remaining < *left || (*at >= exchange.sent() && stamp.remaining != *left)
        };
        overlaps && self.values.iter().all(is_later)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Sent and received at so many milliseconds.
    fn see(
        windows: &mut Windows,
        (remaining, reset): (u32, u32),
        sent: u64,
        received: u64,
    ) -> Seen {
        windows.see(Stamp::new(remaining, reset), exchange(sent, received))
    }

    fn exchange(sent: u64, received: u64) -> Exchange {
        let at = |millis| Reading {
            monotonic: Duration::from_millis(millis),
            wall: Duration::from_millis(millis),
        };
        let (sent, received) = (at(sent), at(received));
        Exchange { sent, received }
    }

    fn begun(remaining: u32) -> Windows {
        let mut windows = Windows::default();
        windows.begin_with(Stamp::new(remaining, 60), exchange(0, 50));
        windows
    }

    #[test]
    fn an_answer_of_the_same_window_with_fewer_calls_left_proves_the_process() {
        let mut windows = begun(97);
        for (stamp, at) in [
            ((96, 60), 400),
            ((95, 57), 3_100),
            ((94, 57), 3_200),
            ((20, 1), 59_500),
        ] {
            assert_eq!(
                see(&mut windows, stamp, at, at + 40),
                Seen::Same,
                "{stamp:?}"
            );
        }
    }

    #[test]
    fn as_many_calls_left_or_more_prove_nothing() {
        for remaining in [97, 98, 99] {
            let seen = see(&mut begun(97), (remaining, 60), 500, 550);
            assert_eq!(seen, Seen::New { beside: true }, "{remaining}");
        }
    }

    #[test]
    fn an_answer_that_fits_a_window_which_is_not_confirmed_proves_nothing() {
        let mut windows = begun(97);
        assert_eq!(
            see(&mut windows, (99, 60), 600, 650),
            Seen::New { beside: true }
        );
        assert_eq!(see(&mut windows, (98, 60), 700, 750), Seen::Pending);
        // Below both.
        assert_eq!(see(&mut windows, (96, 60), 800, 850), Seen::Pending);
    }

    /// Received in the very moment in which the other was asked for, as where nothing takes any time.
    #[test]
    fn two_answers_of_one_window_never_have_as_many_calls_left() {
        let mut windows = begun(97);
        assert_eq!(see(&mut windows, (95, 60), 50, 50), Seen::Same);
        for remaining in [97, 95] {
            let seen = see(&mut windows.clone(), (remaining, 60), 50, 50);
            assert_eq!(seen, Seen::New { beside: true }, "{remaining}");
        }
        assert_eq!(see(&mut windows, (96, 60), 50, 50), Seen::Same);
    }

    #[test]
    fn a_window_that_begins_before_the_older_one_has_ended_is_new_beside_it() {
        for at in [2_000, 30_000, 57_900] {
            let seen = see(&mut begun(97), (90, 60), at, at + 20);
            assert_eq!(seen, Seen::New { beside: true }, "{at}");
        }
    }

    #[test]
    fn an_ended_window_is_no_proof_and_not_beside_anything() {
        let mut windows = begun(97);
        let seen = see(&mut windows, (90, 60), 61_000, 61_020);
        assert_eq!(seen, Seen::New { beside: false });
        // Asked for while the older one went on: it is not there any more.
        let seen = see(&mut begun(97), (90, 1), 59_000, 60_200);
        assert_eq!(seen, Seen::New { beside: false });
    }

    #[test]
    fn answers_may_come_out_of_order() {
        let mut windows = begun(97);
        assert_eq!(see(&mut windows, (94, 60), 110, 150), Seen::Same);
        // Sent before that one was received.
        assert_eq!(see(&mut windows, (95, 60), 105, 160), Seen::Same);
        assert_eq!(
            see(&mut windows, (96, 60), 170, 190),
            Seen::New { beside: true }
        );
    }

    #[test]
    fn a_new_window_is_pending_until_it_is_confirmed_by_what_was_asked_after_it() {
        let mut windows = begun(97);
        assert_eq!(
            see(&mut windows, (99, 60), 20_000, 20_050),
            Seen::New { beside: true }
        );
        assert_eq!(see(&mut windows, (98, 60), 20_100, 20_150), Seen::Pending);
        windows.confirm(Duration::from_millis(20_049));
        assert_eq!(see(&mut windows, (97, 60), 20_200, 20_250), Seen::Pending);
        windows.confirm(Duration::from_millis(20_300));
        assert_eq!(see(&mut windows, (96, 60), 20_400, 20_450), Seen::Same);
        // The one of before is kept: a CDN has several.
        assert_eq!(see(&mut windows, (96, 40), 20_500, 20_550), Seen::Same);
    }

    #[test]
    fn an_answer_that_took_long_proves_nothing() {
        assert_eq!(see(&mut begun(97), (90, 55), 5_000, 10_001), Seen::Vague);
        assert_eq!(see(&mut begun(97), (90, 55), 5_000, 10_000), Seen::Same);
    }

    #[test]
    fn forgotten_values_ask_for_more_and_never_for_less() {
        let mut windows = begun(97);
        for left in (40..97).rev() {
            let at = 100 * u64::from(97 - left);
            assert_eq!(
                see(
                    &mut windows,
                    (left, 60 - u32::try_from(at / 1000).unwrap()),
                    at,
                    at + 10
                ),
                Seen::Same
            );
        }
        // Below what had been received then; what had been is not known any more.
        assert_eq!(
            see(&mut windows, (90, 60), 450, 5_800),
            Seen::New { beside: true }
        );
    }

    #[test]
    fn no_more_windows_are_kept_than_there_is_room_for() {
        let mut windows = Windows::default();
        for second in 0..100_u64 {
            see(&mut windows, (99, 60), second * 3_000, second * 3_000 + 10);
        }
        assert!(windows.0.len() <= MOST);
    }

    #[test]
    fn only_what_the_application_wrote_is_read() {
        let headers = |names: &[(&'static str, &'static str)]| -> HeaderMap {
            let pairs = names
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            pairs.collect()
        };
        let all = [
            ("x-request-id", "1"),
            ("ratelimit-policy", "100;w=60"),
            ("ratelimit-remaining", "96"),
            ("ratelimit-reset", "57"),
        ];
        assert_eq!(Stamp::of(&headers(&all)), Some(Stamp::new(96, 57)));
        for missing in 0..all.len() {
            let mut some = all.to_vec();
            some.remove(missing);
            assert_eq!(Stamp::of(&headers(&some)), None, "{some:?}");
        }
        let mut odd = all;
        odd[2].1 = "many";
        assert_eq!(Stamp::of(&headers(&odd)), None);
    }
}
