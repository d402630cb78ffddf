//! Clock readings in nanoseconds, for comparisons on every request.

#[cfg(feature = "testing")]
use std::fmt;
use std::time::Duration;

use super::{Clock, LAG, Reading, SystemClock};
#[cfg(target_os = "linux")]
use super::{ClockId, linux};

/// A clock that can also be read in nanoseconds. [`Clock`] is public and does not have these methods.
pub(crate) trait Ticking: Clock {
    /// Returns [`Clock::recent`] in nanoseconds, which are cheaper to compare.
    fn recent_ticks(&self) -> Ticks {
        Ticks::of(self.recent())
    }

    /// Returns the wall-clock part of [`recent_ticks`](Self::recent_ticks) alone, at half of the cost.
    fn recent_wall_ticks(&self) -> u64 {
        self.recent_ticks().wall
    }
}

#[cfg(target_os = "linux")]
impl Ticking for SystemClock {
    fn recent_ticks(&self) -> Ticks {
        Ticks {
            monotonic: linux::ticks(ClockId::MonotonicCoarse),
            wall: linux::ticks(ClockId::RealtimeCoarse),
        }
    }

    fn recent_wall_ticks(&self) -> u64 {
        linux::ticks(ClockId::RealtimeCoarse)
    }
}

#[cfg(not(target_os = "linux"))]
impl Ticking for SystemClock {}

/// A clock that the user passed in.
#[cfg(feature = "testing")]
pub(crate) struct Custom<C>(pub(crate) C);

#[cfg(feature = "testing")]
impl<C: Clock> Clock for Custom<C> {
    fn now(&self) -> Reading {
        self.0.now()
    }

    fn recent(&self) -> Reading {
        self.0.recent()
    }
}

#[cfg(feature = "testing")]
impl<C: Clock> Ticking for Custom<C> {}

#[cfg(feature = "testing")]
impl<C: fmt::Debug> fmt::Debug for Custom<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Both clocks in nanoseconds. The numbers may have wrapped around, so only differences between two of them mean
/// something.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    monotonic: u64,
    wall: u64,
}

impl Ticks {
    #[allow(clippy::cast_possible_truncation)]
    fn of(reading: Reading) -> Self {
        Self {
            monotonic: reading.monotonic.as_nanos() as u64,
            wall: reading.wall.as_nanos() as u64,
        }
    }

    /// Returns whether less than `nanos` nanoseconds have passed since `earlier`, by both clocks. Returns `false` if a
    /// clock was set back.
    #[inline]
    pub(crate) fn are_within(self, nanos: u64, earlier: Self) -> bool {
        self.monotonic.wrapping_sub(earlier.monotonic) < nanos
            && self.wall.wrapping_sub(earlier.wall) < nanos
    }
}

/// A span of wall time that is cheap to check.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    since: u64,
    nanos: u64,
}

impl Span {
    /// Creates a span that begins at `now`. It ends one to two [`LAG`]s before `now + length`, never later.
    ///
    /// The cheap clock may show up to `LAG` less than `now`. So the span accepts readings from `now - LAG` on.
    #[allow(clippy::cast_possible_truncation)] // only differences mean something
    pub(crate) fn from(now: Reading, length: Duration) -> Self {
        let nanos = length.saturating_sub(LAG).as_nanos();
        Self {
            since: now.wall.saturating_sub(LAG).as_nanos() as u64,
            nanos: u64::try_from(nanos).unwrap_or(u64::MAX),
        }
    }

    /// Returns `true` until the span is over. Returns `false` if the wall clock was set back to before the span, or
    /// forward beyond it.
    #[inline]
    pub(crate) fn goes_on(self, clock: &dyn Ticking) -> bool {
        clock.recent_wall_ticks().wrapping_sub(self.since) < self.nanos
    }
}
