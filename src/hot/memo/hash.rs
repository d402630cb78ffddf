//! A hash that costs a few instructions. The hash only says where to look: the credentials found there are compared
//! in full.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::LazyLock,
};

use crate::headers::Credentials;

/// A large odd number whose bits are spread out.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

pub(super) fn hash(credentials: Credentials<'_>) -> u64 {
    // A random seed for each process, so that nobody outside can choose keys that collide.
    static SEED: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(FACTOR));
    let bytes = credentials.value.as_bytes();
    let mix = |hash: u64, word: u64| {
        let product = u128::from(hash ^ word) * u128::from(FACTOR);
        #[allow(clippy::cast_possible_truncation)] // keeps both halves
        let [high, low] = [(product >> 64) as u64, product as u64];
        high ^ low
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain([&last]);
    words.fold(mix(*SEED, credentials.header as u64), |hash, word| {
        mix(hash.rotate_left(32), u64::from_le_bytes(*word))
    })
}

/// A hasher for numbers that are hashes already: it returns the number unchanged.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only hashes are hashed");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
