//! Headers that Sipher's application writes on every answer, and no gateway does.

use std::time::Duration;

use http::{HeaderMap, HeaderName, header::AGE};

/// The longest plausible rate-limit window. The server's windows last a minute by its wall clock. If that clock is set
/// back, a window seems to last longer.
const LONGEST_WINDOW: Duration = Duration::from_secs(60 * 60);

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Returns whether Sipher's application wrote an answer with these headers, and not a gateway in front of it.
pub(crate) fn is_by_application(headers: &HeaderMap) -> bool {
    headers.contains_key(POLICY) && headers.contains_key(REQUEST_ID)
}

/// The rate-limit headers of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) remaining: u32,
    pub(crate) reset: Duration,
}

impl Stamp {
    /// Reads the headers. Returns `None` if the application did not write them, or if the answer comes from a cache.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let number = |name| headers.get(name)?.to_str().ok()?.trim().parse().ok();
        let (remaining, reset): (u32, u32) = (number(REMAINING)?, number(RESET)?);
        let reset = Duration::from_secs(reset.into());
        let is_plausible = reset <= LONGEST_WINDOW && !headers.contains_key(AGE);
        (is_plausible && is_by_application(headers)).then_some(Self { remaining, reset })
    }

    #[cfg(test)]
    pub(crate) fn new(remaining: u32, reset: u32) -> Self {
        let reset = Duration::from_secs(reset.into());
        Self { remaining, reset }
    }
}
