//! What the members of a fleet tell each other about a session.

use std::time::Duration;

use secrecy::zeroize::Zeroizing;

use crate::{api::SessionId, clock::millis};

/// Writes a time, in milliseconds.
pub(super) fn time_to_bytes(time: Duration) -> [u8; 8] {
    millis(time).to_be_bytes()
}

/// Reads a time. Returns it, and the bytes after it.
pub(super) fn split_time(plain: &[u8]) -> Option<(Duration, &[u8])> {
    let (time, rest) = plain.split_first_chunk()?;
    Some((Duration::from_millis(u64::from_be_bytes(*time)), rest))
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sealed {
    pub(super) id: SessionId,
    /// The session's whole life.
    pub(super) life: Duration,
    /// When the session was created by its creator's wall clock, or a moment before that.
    pub(super) born_wall: Duration,
    /// The time of the session's create on the store's clock, or a moment before it.
    pub(super) born_store: Duration,
    /// When the session was created by the server's clock.
    pub(super) made_at: Duration,
}

impl Sealed {
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let times = [self.life, self.born_wall, self.born_store, self.made_at];
        let id = self.id.as_str().as_bytes();
        // Allocate the full length now. If the buffer grew, it would leave a copy of its bytes in memory.
        let mut plain = Zeroizing::new(Vec::with_capacity(
            times.len() * size_of::<u64>() + id.len(),
        ));
        for time in times {
            plain.extend_from_slice(&time_to_bytes(time));
        }
        plain.extend_from_slice(id);
        plain
    }

    pub(super) fn parse(plain: &[u8]) -> Option<Self> {
        let (life, rest) = split_time(plain)?;
        let (born_wall, rest) = split_time(rest)?;
        let (born_store, rest) = split_time(rest)?;
        let (made_at, id) = split_time(rest)?;
        Some(Self {
            life,
            born_wall,
            born_store,
            made_at,
            id: SessionId::parse(std::str::from_utf8(id).ok()?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_is_shorter_or_no_id_is_not() {
        let sealed = Sealed {
            id: SessionId::parse(&format!("sess_{}", "0a".repeat(32))).unwrap(),
            life: Duration::from_secs(3600),
            born_wall: Duration::from_millis(1_795_456_800_123),
            born_store: Duration::from_secs(1_795_456_800),
            made_at: Duration::from_millis(1_795_456_800_456),
        };
        let plain = sealed.to_bytes();
        assert_eq!(Sealed::parse(&plain), Some(sealed));
        for length in 0..plain.len() {
            assert_eq!(Sealed::parse(&plain[..length]), None, "{length}");
        }
    }
}
