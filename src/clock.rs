//! The only module that reads the time.
//!
//! Either clock alone can be wrong: the monotonic clock may stand still while a laptop sleeps, and the wall clock can
//! be set. So the age of a session is measured with both. [`Clock::now`] reads both.
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

mod ticks;

use std::{fmt, time::Duration};

#[cfg(feature = "testing")]
pub(crate) use self::ticks::Custom;
pub(crate) use self::ticks::{Span, Ticking, Ticks};

/// If the two clocks move apart by more than this, the machine slept or somebody set the wall clock. A clock service
/// such as NTP corrects the wall clock in smaller steps.
const JUMP: Duration = Duration::from_secs(30);

/// Returns a duration in milliseconds, as a number that fits into an atomic or a record.
#[inline]
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Both clocks, read at one moment.
#[allow(clippy::exhaustive_structs)] // there are only these two clocks
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The monotonic time since an arbitrary origin. It never goes back. While the machine is suspended, it may stand
    /// still; on Linux it goes on.
    pub monotonic: Duration,
    /// The wall-clock time since 1970. It goes on while the machine is suspended. Somebody may set it forward or back.
    pub wall: Duration,
}

impl Reading {
    /// Returns how much time has passed since `earlier`, by the clock that shows more.
    ///
    /// If the wall clock was set back, it shows less than the monotonic clock, so the monotonic clock counts.
    pub fn since(self, earlier: Reading) -> Duration {
        let monotonic = self.monotonic.saturating_sub(earlier.monotonic);
        let wall = self.wall.saturating_sub(earlier.wall);
        monotonic.max(wall)
    }

    /// Returns a reading that is earlier by `age` on both clocks, but not before the origin of the monotonic clock.
    pub(crate) fn before(self, age: Duration) -> Self {
        let age = age.min(self.monotonic);
        Self {
            monotonic: self.monotonic.saturating_sub(age),
            wall: self.wall.saturating_sub(age),
        }
    }

    /// Returns whether the difference between the two clocks has changed by more than 30 s since `earlier`. If so, the
    /// machine slept, or the wall clock was set.
    pub fn has_jumped_since(self, earlier: Reading) -> bool {
        let monotonic = self.monotonic.saturating_sub(earlier.monotonic);
        // What the wall clock shows if it was not set.
        let expected = earlier.wall.saturating_add(monotonic);
        self.wall.abs_diff(expected) > JUMP
    }
}

/// A [`Reading`] in half of the memory, for storing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// In nanoseconds. A `u64` of them lasts 584 years.
    monotonic: u64,
    wall: u64,
}

impl From<Reading> for Moment {
    fn from(reading: Reading) -> Self {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self {
            monotonic: nanos(reading.monotonic),
            wall: nanos(reading.wall),
        }
    }
}

impl From<Moment> for Reading {
    fn from(moment: Moment) -> Self {
        Self {
            monotonic: Duration::from_nanos(moment.monotonic),
            wall: Duration::from_nanos(moment.wall),
        }
    }
}

/// A source of time.
///
/// The default is [`SystemClock`]. Tests pass in `testing::TestClock`, which follows tokio's paused time. Enabling a
/// cargo feature never changes the clock: only the builder does.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Reads both clocks.
    fn now(&self) -> Reading;

    /// Reads both clocks as they were at most [`LAG`] ago, at a lower cost. Compare the result only with other results
    /// of this method. Defaults to [`now`](Self::now).
    fn recent(&self) -> Reading {
        self.now()
    }
}

/// How far behind [`Clock::recent`] may be: 100 ms. Linux updates its cheap clocks at least every 10 ms.
pub const LAG: Duration = Duration::from_millis(100);

/// The clocks of the operating system.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// Creates one. All of them show the same time.
    pub fn new() -> Self {
        Self
    }
}

#[cfg(target_os = "linux")]
impl Clock for SystemClock {
    fn now(&self) -> Reading {
        Reading {
            // Unlike the clock that `Instant` reads, this one goes on while the machine sleeps.
            monotonic: linux::read(ClockId::Boottime),
            wall: linux::read(ClockId::Realtime),
        }
    }

    fn recent(&self) -> Reading {
        Reading {
            monotonic: linux::read(ClockId::MonotonicCoarse),
            wall: linux::read(ClockId::RealtimeCoarse),
        }
    }
}

#[cfg(target_os = "linux")]
use rustix::time::ClockId;

#[cfg(target_os = "linux")]
mod linux {
    use super::{ClockId, Duration};

    /// Returns what `clock` shows. A wall clock that shows a time before 1970 counts as 1970.
    #[inline]
    pub(super) fn read(clock: ClockId) -> Duration {
        rustix::time::clock_gettime(clock)
            .try_into()
            .unwrap_or_default()
    }

    #[inline]
    #[allow(clippy::cast_sign_loss)]
    pub(super) fn ticks(clock: ClockId) -> u64 {
        let time = rustix::time::clock_gettime(clock);
        (time.tv_sec as u64)
            .wrapping_mul(1_000_000_000)
            .wrapping_add(time.tv_nsec as u64)
    }
}

/// Returns the wall-clock time, for an API that takes a `SystemTime`.
#[cfg(feature = "reqwest-retry")]
pub(crate) fn system_time() -> std::time::SystemTime {
    std::time::UNIX_EPOCH + SystemClock.now().wall
}

#[cfg(not(target_os = "linux"))]
impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)]
    fn now(&self) -> Reading {
        use std::{
            sync::LazyLock,
            time::{Instant, SystemTime, UNIX_EPOCH},
        };

        static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Reading {
            monotonic: ORIGIN.elapsed(),
            wall: wall.unwrap_or_default(),
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

    /// The time that a new [`TestClock`] starts at, in seconds since 1970: 2026-11-23 18:00 UTC.
    const START: u64 = 1_795_456_800;

    /// A clock that follows tokio's time, and whose wall clock a test can set.
    ///
    /// If tokio's clock is paused, a test can let a day pass in a millisecond. Clones share one wall clock.
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
        /// By how much the test has set the wall clock forward, in milliseconds. Negative if the test has set it back.
        turned: Arc<AtomicI64>,
    }

    impl TestClock {
        /// Creates a clock that starts at a fixed date, so that test runs can be repeated.
        #[allow(clippy::disallowed_methods)]
        pub fn new() -> Self {
            Self {
                origin: tokio::time::Instant::now(),
                turned: Arc::default(),
            }
        }

        /// Simulates that the machine sleeps: wall time passes, monotonic time does not.
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

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn the_systems_clocks_go_forward_and_the_cheap_ones_lag_no_more_than_they_may() {
        use std::time::{Instant, SystemTime, UNIX_EPOCH};
        let clock = SystemClock::new();
        let (start, recent) = (clock.now(), clock.recent());
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        assert!(start.wall <= wall && recent.wall <= wall);
        assert!(recent.wall + LAG >= start.wall);
        let begun = Instant::now();
        while begun.elapsed() < LAG * 2 {
            std::thread::yield_now();
        }
        let elapsed = begun.elapsed();
        assert!(clock.recent().monotonic + LAG >= recent.monotonic + elapsed);
        assert!(clock.now().monotonic >= start.monotonic + elapsed);
    }

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
