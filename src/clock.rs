//! The one place where time is read.
//!
//! A session is judged on two clocks at once, because either alone can be fooled: the monotonic clock stands still
//! while a laptop sleeps, and the wall clock can be set. [`Clock::now`] reads both.
//!
//! ```
//! use std::time::Duration;
//! use sipher_session::clock::{Clock, Reading, SystemClock};
//!
//! let clock = SystemClock::new();
//! let earlier = clock.now();
//! assert!(clock.now().since(earlier) < Duration::from_secs(3600));
//!
//! // Suspended for an hour: only the wall clock saw it, and it wins.
//! let asleep = Reading { wall: earlier.wall + Duration::from_secs(3600), ..earlier };
//! assert_eq!(asleep.since(earlier), Duration::from_secs(3600));
//! ```

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Both clocks, read at one moment.
#[allow(clippy::exhaustive_structs)] // two clocks, and there is no third
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Since an arbitrary origin; never goes back, may stand still while the machine is suspended.
    pub monotonic: Duration,
    /// Since 1970; counts suspension, may be set forward and back.
    pub wall: Duration,
}

impl Reading {
    /// Returns how much time has passed since `earlier`, by the clock that says more.
    ///
    /// A wall clock that was set back says less than the monotonic one and so changes nothing.
    pub fn since(self, earlier: Reading) -> Duration {
        let monotonic = self.monotonic.saturating_sub(earlier.monotonic);
        let wall = self.wall.saturating_sub(earlier.wall);
        monotonic.max(wall)
    }
}

/// A source of time.
///
/// [`SystemClock`] is the default; tests pass in `testing::TestClock`, which follows tokio's
/// paused time. A feature never switches clocks by itself.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Reads both clocks.
    fn now(&self) -> Reading;
}

/// The clocks of the operating system.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Starts counting monotonic time from here.
    #[allow(clippy::disallowed_methods)]
    pub fn new() -> Self {
        let origin = Instant::now();
        Self { origin }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> Reading {
        Reading {
            monotonic: self.origin.elapsed(),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }
}

/// A clock that forgets no suspension: what the wall clock once gained on the monotonic one is not lost again when it is
/// set back.
///
/// Without this, a wall clock that was set back by an hour would hide the next hour of sleep from every session that was
/// born before.
#[derive(Debug)]
pub(crate) struct Timekeeper {
    clock: Arc<dyn Clock>,
    /// How far the wall clock was ahead of the monotonic one when last looked at, in milliseconds.
    ahead: AtomicI64,
    /// What it has gained in all, in milliseconds.
    gained: AtomicU64,
}

/// What the clocks may drift apart before it counts, in milliseconds. Far inside of every margin.
const DRIFT: u64 = 1_000;

impl Timekeeper {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let ahead = AtomicI64::new(ahead(clock.now()));
        Self {
            clock,
            ahead,
            gained: AtomicU64::new(0),
        }
    }
}

impl Clock for Timekeeper {
    /// The wall clock here is the monotonic one and what was gained on it.
    fn now(&self) -> Reading {
        let reading = self.clock.now();
        let (ahead, before) = (ahead(reading), self.ahead.load(Ordering::SeqCst));
        let gained = ahead.saturating_sub(before);
        if gained.unsigned_abs() >= DRIFT {
            // Counted before it is noted as seen: whoever looks meanwhile sees too much time, never too little.
            let more = u64::try_from(gained).unwrap_or_default();
            self.gained.fetch_add(more, Ordering::SeqCst);
            let seen =
                self.ahead
                    .compare_exchange(before, ahead, Ordering::SeqCst, Ordering::SeqCst);
            if seen.is_err() {
                // Somebody else has seen it as well.
                self.gained.fetch_sub(more, Ordering::SeqCst);
            }
        }
        let gained = Duration::from_millis(self.gained.load(Ordering::SeqCst));
        let monotonic = reading.monotonic;
        Reading {
            monotonic,
            wall: monotonic.saturating_add(gained),
        }
    }
}

fn ahead(reading: Reading) -> i64 {
    let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    millis(reading.wall).saturating_sub(millis(reading.monotonic))
}

#[cfg(feature = "testing")]
pub(crate) mod testing {
    use std::sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    };

    use super::{Clock, Duration, Reading};

    /// Seconds since 1970 that a new [`TestClock`] starts at: 2026-11-23 18:00 UTC.
    const START: u64 = 1_795_456_800;

    /// A clock that follows tokio's time, and whose wall clock can be turned by hand.
    ///
    /// With tokio's clock paused, a day passes in a millisecond. Clones share one wall clock.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
    /// use std::time::Duration;
    /// use sipher_session::{clock::Clock, testing::TestClock};
    ///
    /// let clock = TestClock::new();
    /// let start = clock.now();
    /// tokio::time::advance(Duration::from_secs(60)).await;
    /// clock.suspend(Duration::from_secs(40)); // the monotonic clock does not see this
    /// assert_eq!(clock.now().monotonic - start.monotonic, Duration::from_secs(60));
    /// assert_eq!(clock.now().wall - start.wall, Duration::from_secs(100));
    /// # }
    /// ```
    #[derive(Clone, Debug)]
    pub struct TestClock {
        origin: tokio::time::Instant,
        /// What was added to the wall clock by hand, in milliseconds.
        turned: Arc<AtomicI64>,
    }

    impl TestClock {
        /// Starts at a fixed date, so that runs repeat.
        #[allow(clippy::disallowed_methods)]
        pub fn new() -> Self {
            Self {
                origin: tokio::time::Instant::now(),
                turned: Arc::default(),
            }
        }

        /// Lets the machine sleep: wall time passes, monotonic time does not.
        pub fn suspend(&self, asleep: Duration) {
            self.turned.fetch_add(millis(asleep), Ordering::SeqCst);
        }

        /// Sets the wall clock back.
        pub fn set_back(&self, by: Duration) {
            self.turned.fetch_sub(millis(by), Ordering::SeqCst);
        }
    }

    impl Default for TestClock {
        fn default() -> Self {
            Self::new()
        }
    }

    impl Clock for TestClock {
        #[allow(clippy::disallowed_methods)]
        fn now(&self) -> Reading {
            let monotonic = tokio::time::Instant::now().duration_since(self.origin);
            let turned = self.turned.load(Ordering::SeqCst);
            let wall = Duration::from_secs(START) + monotonic;
            let by = Duration::from_millis(turned.unsigned_abs());
            let wall = if turned < 0 {
                wall.saturating_sub(by)
            } else {
                wall + by
            };
            Reading { monotonic, wall }
        }
    }

    fn millis(duration: Duration) -> i64 {
        i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(monotonic: u64, wall: u64) -> Reading {
        Reading {
            monotonic: Duration::from_secs(monotonic),
            wall: Duration::from_secs(wall),
        }
    }

    /// A clock that says what it is told to.
    #[derive(Debug)]
    struct Told(std::sync::Mutex<Reading>);

    impl Clock for Told {
        fn now(&self) -> Reading {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn sleep_is_not_hidden_by_a_wall_clock_that_was_set_back() {
        let told = Arc::new(Told(std::sync::Mutex::new(at(100, 100_000))));
        let clock = Timekeeper::new(told.clone());
        let look = |monotonic, wall| {
            *told.0.lock().unwrap() = at(monotonic, wall);
            clock.now()
        };
        let born = look(100, 100_000);
        let age = |reading: Reading| reading.since(born).as_secs();
        assert_eq!(age(look(110, 100_010)), 10, "both go on");
        assert_eq!(age(look(110, 40_010)), 10, "set back");
        assert_eq!(age(look(110, 43_610)), 3_610, "asleep for an hour");
        assert_eq!(age(look(120, 43_620)), 3_620, "both go on");
        assert_eq!(
            age(look(120, 99_999)),
            59_999,
            "set right again, which may as well have been sleep"
        );
        assert_eq!(age(look(121, 99_999)), 60_000, "drift is no sleep");
    }

    #[test]
    fn the_clock_that_says_older_wins() {
        let born = at(100, 1_000);
        assert_eq!(at(110, 1_010).since(born).as_secs(), 10, "both agree");
        assert_eq!(
            at(110, 1_500).since(born).as_secs(),
            500,
            "suspended, or set forward"
        );
        assert_eq!(at(110, 500).since(born).as_secs(), 10, "set back");
        assert_eq!(at(90, 900).since(born).as_secs(), 0, "an earlier reading");
    }
}
