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
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// More than a wall clock that is kept in step is ever moved at once.
const JUMP: Duration = Duration::from_secs(30);

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

    /// Returns whether the two clocks have moved apart by more than 30 s since `earlier`: the machine slept, or the wall
    /// clock was set.
    pub fn has_jumped_since(self, earlier: Reading) -> bool {
        let monotonic = self.monotonic.saturating_sub(earlier.monotonic);
        // Kept in step, the wall clock would be here.
        let expected = earlier.wall.saturating_add(monotonic);
        self.wall.abs_diff(expected) > JUMP
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

    #[test]
    fn clocks_that_part_have_jumped_and_clocks_that_are_kept_in_step_have_not() {
        let born = at(100, 1_000);
        for (now, jumped) in [
            (at(100, 1_000), false),
            (at(4_000, 4_900), false),
            (at(4_000, 4_930), false),
            (at(4_000, 4_870), false),
            (at(4_000, 4_931), true),
            (at(4_000, 4_869), true),
            (at(100, 0), true),
        ] {
            assert_eq!(now.has_jumped_since(born), jumped, "{now:?}");
        }
    }
}
