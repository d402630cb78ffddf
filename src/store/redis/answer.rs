//! Reads what the scripts return. A store may contain anything, so every value is checked.

use std::{time::Duration, vec};

use bytes::Bytes;
use redis::Value;

use super::error::Trouble;
use crate::store::{Claim, Found, Kept, Left, Record};

/// The longest duration that is passed to a script. Lua computes with floats: sums of such numbers stay exact.
const LONGEST: u64 = 10 * 365 * 86_400_000;

/// Returns whole milliseconds, rounded up.
pub(super) fn millis(duration: Duration) -> u64 {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).map_or(LONGEST, |millis| millis.min(LONGEST))
}

/// Returns whole milliseconds, rounded up, and at least one: for a time that must not end at once.
pub(super) fn positive_millis(duration: Duration) -> u64 {
    millis(duration).max(1)
}

pub(super) fn found(answer: Value) -> Result<Found, Trouble> {
    let mut parts = Parts::of(answer)?;
    let now = parts.time()?;
    let record = parts.record()?;
    let is_certain = match &record {
        Some(_) => yes_or_no(&parts.value()?)?,
        None => true,
    };
    Ok(Found {
        record,
        is_certain,
        now,
    })
}

pub(super) fn claim(answer: Value) -> Result<Claim, Trouble> {
    let mut parts = Parts::of(answer)?;
    match &parts.bytes()?[..] {
        b"granted" => Ok(Claim::Granted {
            generation: parts.number()?,
            now: parts.time()?,
        }),
        b"held" => Ok(Claim::Held {
            left: parts.left()?,
        }),
        b"published" => Ok(Claim::Published(found(parts.value()?)?)),
        _ => Err(Trouble::Malformed),
    }
}

pub(super) fn kept(answer: Value) -> Result<Kept, Trouble> {
    let mut parts = Parts::of(answer)?;
    match &parts.bytes()?[..] {
        b"current" => Ok(Kept::Current),
        b"newer" => Ok(Kept::Newer(found(parts.value()?)?)),
        b"revoked" => Ok(Kept::Revoked),
        b"gone" => Ok(Kept::Gone),
        _ => Err(Trouble::Malformed),
    }
}

pub(super) fn yes_or_no(answer: &Value) -> Result<bool, Trouble> {
    match answer {
        Value::Int(1) => Ok(true),
        Value::Int(0) => Ok(false),
        _ => Err(Trouble::Malformed),
    }
}

pub(super) fn left(answer: &Value) -> Result<Left, Trouble> {
    yes_or_no(answer).map(|last| if last { Left::Last } else { Left::Others })
}

pub(super) fn done(answer: &Value) -> Result<(), Trouble> {
    yes_or_no(answer).map(|_| ())
}

struct Parts(vec::IntoIter<Value>);

impl Parts {
    fn of(answer: Value) -> Result<Self, Trouble> {
        match answer {
            Value::Array(parts) => Ok(Self(parts.into_iter())),
            _ => Err(Trouble::Malformed),
        }
    }

    fn value(&mut self) -> Result<Value, Trouble> {
        self.0.next().ok_or(Trouble::Malformed)
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Trouble> {
        match self.value()? {
            Value::BulkString(bytes) => Ok(bytes),
            Value::SimpleString(text) => Ok(text.into_bytes()),
            _ => Err(Trouble::Malformed),
        }
    }

    fn number(&mut self) -> Result<u64, Trouble> {
        let digits = self.bytes()?;
        let number = std::str::from_utf8(&digits).ok().map(str::parse);
        number.and_then(Result::ok).ok_or(Trouble::Malformed)
    }

    /// Reads seconds and microseconds, as `TIME` returns them.
    fn time(&mut self) -> Result<Duration, Trouble> {
        let (seconds, micros) = (self.number()?, self.number()?);
        let time = Duration::from_secs(seconds).checked_add(Duration::from_micros(micros));
        time.ok_or(Trouble::Malformed)
    }

    /// Reads milliseconds, as `PTTL` returns them. It is negative for a key that never expires, and this store has no
    /// such keys.
    fn left(&mut self) -> Result<Duration, Trouble> {
        match self.value()? {
            Value::Int(millis) => u64::try_from(millis)
                .map(Duration::from_millis)
                .map_err(|_| Trouble::Malformed),
            _ => Err(Trouble::Malformed),
        }
    }

    fn record(&mut self) -> Result<Option<Record>, Trouble> {
        if self.0.len() == 0 {
            return Ok(None);
        }
        Ok(Some(Record {
            generation: self.number()?,
            left: self.left()?,
            sealed: Bytes::from(self.bytes()?),
        }))
    }
}
