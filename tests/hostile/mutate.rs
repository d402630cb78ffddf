//! Changes bytes at random, in ways that are known to break parsers.

use std::env;

use fastrand::Rng;

/// Inputs that often break parsers.
const PIECES: [&[u8]; 24] = [
    b"null",
    b"-1",
    b"1e400",
    b"18446744073709551616",
    b"9223372036854775807",
    b"0.1",
    b"NaN",
    b"true",
    b"[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":",
    b"\"\"",
    b"\\u0000",
    b"\\ud800",
    b"\xff\xfe",
    b"\xc3",
    b"\r\nX-Session-Id: sess_0",
    b"\0",
    b"sess_",
    b"%00%0d%0a",
    b"9999-12-31T23:59:60Z",
    b"Sun, 31 Dec 9999 23:59:59 GMT",
    b"{}",
    b",",
    b"\"",
];

/// Runs a test on this many inputs. Each input comes from a seed, which is printed if the test fails.
pub fn each_case(cases: u64, mut test: impl FnMut(&mut Rng)) {
    let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number("HOSTILE_SEED") {
        return test(&mut Rng::with_seed(seed));
    }
    let start = number("HOSTILE_FROM").unwrap_or(0);
    for seed in (0..number("HOSTILE_CASES").unwrap_or(cases)).map(|case| start.wrapping_add(case)) {
        let failed = Replay(seed);
        test(&mut Rng::with_seed(seed));
        std::mem::forget(failed);
    }
}

/// Prints the seed. It is dropped only by a panic.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        eprintln!("replay with HOSTILE_SEED={}", self.0);
    }
}

pub fn mutate(input: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..rng.usize(0..4) {
        let at = rng.usize(..=bytes.len());
        let end = rng.usize(at..=bytes.len()).min(at + 40);
        match rng.u8(..7) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            3 if at < bytes.len() => bytes[at] ^= 1 << rng.u8(..8),
            // Replaces a whole value, up to the comma.
            4 => {
                let value = bytes[at..]
                    .iter()
                    .position(|b| b",}]".contains(b))
                    .unwrap_or(0);
                let start = bytes[..at]
                    .iter()
                    .rposition(|b| b":[,".contains(b))
                    .map_or(at, |i| i + 1);
                drop(bytes.splice(start..at + value, rng.choice(PIECES).unwrap().to_vec()));
            }
            5 => {
                let deep = [b"[".as_slice(), b"{\"a\":"][rng.usize(..2)].repeat(rng.usize(..5_000));
                drop(bytes.splice(at..at, deep));
            }
            _ => drop(bytes.splice(at..at, rng.choice(PIECES).unwrap().to_vec())),
        }
    }
    bytes
}
