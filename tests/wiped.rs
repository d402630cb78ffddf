//! Searches the memory of this process for secrets that should have been wiped.
//!
//! This is a test crate of its own, so that the process has little memory to search.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // for the helper functions

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
};

use secrecy::zeroize::Zeroizing;
use sipher_session::{ApiKey, SessionConfig, SessionId, ViewingKey};

/// The secret with inverted bits, so that the search does not put the secret into memory.
struct Mask(Vec<u8>);

impl Mask {
    /// Leaves out the first bytes, which an allocator overwrites anyway.
    fn of(secret: &str) -> Self {
        Self(secret.bytes().skip(32).map(|b| !b).collect())
    }

    fn is_at(&self, bytes: &[u8]) -> bool {
        bytes.len() >= self.0.len() && bytes.iter().zip(&self.0).all(|(byte, mask)| *byte == !mask)
    }
}

/// Returns how often a secret is in the writable memory of this process. Returns `None` if the process may not read its memory.
fn copies(secret: &Mask) -> Option<usize> {
    let memory = File::open("/proc/self/mem").ok()?;
    let mut buffer = vec![0_u8; 1 << 16];
    let own = buffer.as_ptr().addr() as u64;
    let own = own..own + buffer.len() as u64;
    let mut found = 0;
    for line in fs::read_to_string("/proc/self/maps").ok()?.lines() {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let mut at = u64::from_str_radix(start, 16).ok()?;
        let end = u64::from_str_radix(end, 16).ok()?;
        while rest.starts_with("rw") && at < end {
            let length = usize::try_from(end - at).ok()?.min(buffer.len());
            // Skips the buffer itself.
            if at < own.end && own.start < at + length as u64 {
                let to_the_end = usize::try_from(own.end.min(end) - at).ok()?;
                if own.start > at {
                    let length = usize::try_from(own.start - at).ok()?;
                    found += scan(&memory, &mut buffer[..length], at, secret);
                }
                at += to_the_end as u64;
                continue;
            }
            found += scan(&memory, &mut buffer[..length], at, secret);
            at += length as u64;
        }
    }
    Some(found)
}

fn scan(memory: &File, buffer: &mut [u8], at: u64, secret: &Mask) -> usize {
    if memory.read_exact_at(buffer, at).is_err() {
        return 0; // a page that cannot be read
    }
    let found = (0..buffer.len())
        .filter(|at| secret.is_at(&buffer[*at..]))
        .count();
    buffer.fill(0);
    found
}

/// A prefix with 64 hexadecimal digits that occur nowhere else.
fn secret(prefix: &str) -> Zeroizing<String> {
    let mut secret = Zeroizing::new(String::with_capacity(256));
    secret.push_str(prefix);
    for _ in 0..64 {
        secret.push(fastrand::char('0'..='9'));
    }
    secret
}

#[track_caller]
fn assert_gone<T>(name: &str, prefix: &str, keep: impl FnOnce(&str) -> T) {
    let secret = secret(prefix);
    let mask = Mask::of(&secret);
    let kept = keep(&secret);
    drop(secret);
    let Some(alive) = copies(&mask) else {
        eprintln!("this process may not look into its memory");
        return;
    };
    assert!(alive >= 1, "{name}: not even found while it is there");
    drop(kept);
    assert_eq!(copies(&mask), Some(0), "{name}: still in memory");
}

#[test]
fn secrets_are_wiped_from_memory_with_their_last_copy() {
    assert_gone("API key", "sk_pro_", |key| ApiKey::from(key));
    assert_gone("viewing key", "0x", |key| ViewingKey::from(key).clone());
    assert_gone("session id", "sess_", |id| {
        let id = SessionId::parse(id).unwrap();
        Box::new((id.clone(), id))
    });
    // The id is parsed as from an answer of the server. The answer's own buffer is not tested.
    assert_gone("session id from JSON", "sess_", |id| {
        let json = Zeroizing::new(format!("\"{id}\""));
        serde_json::from_str::<SessionId>(&json).unwrap()
    });
    assert_gone("settings", "sk_pro_", |key| {
        let mut config = SessionConfig::default();
        config.api_key = Some(key.into());
        config.clone().or(config)
    });
}
