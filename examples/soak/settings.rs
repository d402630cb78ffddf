//! The settings: how long to run, and with which seed.

use std::{env, fmt, time::Duration};

use sipher_session::BoxError;

pub(crate) struct Settings {
    pub(crate) time: Duration,
    pub(crate) seed: u64,
}

impl Settings {
    /// Reads the time from the first argument or else from the environment, and the seed from the environment.
    pub(crate) fn read() -> Result<Self, BoxError> {
        let time = match (env::args().nth(1), env::var("SOAK_SECONDS")) {
            (Some(time), _) => parse("the first argument", &time, time_of)?,
            (None, Ok(time)) => parse("SOAK_SECONDS", &time, time_of)?,
            (None, Err(_)) => Duration::from_secs(60),
        };
        let seed = match env::var("SOAK_SEED") {
            Ok(seed) => parse("SOAK_SEED", &seed, |seed| seed.parse().ok())?,
            Err(_) => fastrand::u64(..),
        };
        Ok(Self { time, seed })
    }
}

/// Displays the variable that repeats the run.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SOAK_SEED={}", self.seed)
    }
}

/// Parses a time, in seconds or with units such as `10m`.
fn time_of(text: &str) -> Option<Duration> {
    let seconds = text.parse().map(Duration::from_secs);
    seconds.or_else(|_| humantime::parse_duration(text)).ok()
}

fn parse<T>(name: &str, text: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, BoxError> {
    let expected = if name == "SOAK_SEED" {
        "a whole number"
    } else {
        "seconds, or a time such as `90s` or `10m`"
    };
    parse(text).ok_or_else(|| format!("{name}: is `{text}`; expected {expected}").into())
}
