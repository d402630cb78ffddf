//! Random numbers that differ in each copy of a process. Example: a process forks, or a virtual machine is started
//! twice from one snapshot. A generator in memory would give both copies the same numbers. The shared store could then
//! not tell the two processes apart.

use std::{
    hash::{BuildHasher, RandomState},
    process,
};

use fastrand::Rng;

#[cfg(feature = "testing")]
use crate::lock::Lock;

/// Where random numbers come from.
#[derive(Debug)]
pub(crate) enum Random {
    /// The operating system's generator, called for each draw.
    System,
    /// A generator that repeats its numbers for the same seed.
    #[cfg(feature = "testing")]
    Seeded(Lock<Rng>),
}

impl Random {
    #[cfg(feature = "testing")]
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::Seeded(Lock::new(Rng::with_seed(seed)))
    }

    /// Draws with a generator that gets a new seed for each call.
    pub(crate) fn with<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        match self {
            Self::System => draw(&mut Rng::with_seed(system())),
            #[cfg(feature = "testing")]
            Self::Seeded(rng) => draw(&mut rng.lock()),
        }
    }

    /// Draws a number that no other process draws.
    pub(crate) fn unique(&self) -> u128 {
        match self {
            Self::System => (u128::from(system()) << 64) | u128::from(system()),
            #[cfg(feature = "testing")]
            Self::Seeded(_) => self.with(|rng| rng.u128(..)),
        }
    }
}

/// Returns 64 bits from the system's generator. Without such a generator, falls back to a hash with random keys.
fn system() -> u64 {
    getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(process::id()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_is_drawn_twice() {
        let drawn = (0..1_000).map(|_| Random::System.with(|rng| rng.u64(..)));
        assert_eq!(drawn.collect::<HashSet<_>>().len(), 1_000);
    }

    #[test]
    fn both_halves_of_a_unique_number_are_drawn() {
        let drawn: Vec<_> = (0..100).map(|_| Random::System.unique()).collect();
        for shift in [0, 64] {
            let halves = drawn
                .iter()
                .map(|number| (number >> shift) & u128::from(u64::MAX));
            assert_eq!(halves.collect::<HashSet<_>>().len(), 100);
        }
    }

    #[cfg(feature = "testing")]
    #[test]
    fn a_seed_repeats_its_numbers() {
        let draw = || Random::seeded(7).with(|rng| rng.u64(..));
        assert_eq!(draw(), draw());
    }
}
