//! What kind of error it is, and so what can be done about it.

use http::StatusCode;

/// What kind of error it is, and so what can be done about it.
///
/// | kind | status to hand on | transient | what to do |
/// | --- | --- | --- | --- |
/// | `Budget` | 503 | yes | Retry after `retry_after`. If it comes often, raise `call_budget` or use fewer keys and defaults. |
/// | `Config` | 500 | no | Correct the setting that the message names. |
/// | `Credentials` | 401 | no | Replace the API key, or upgrade its tier. |
/// | `InvalidRequest` | 400 | no | Correct the request. |
/// | `NoApiKey` | 401 | no | Put an API key on the request, or configure one. |
/// | `NoRuntime` | 500 | no | Call from a tokio runtime that has its timers enabled. |
/// | `NotFound` | 404 | no | The session has ended: create another. |
/// | `Quota` | 429 | yes | Retry after `retry_after`, which is when the quota resets. Share sessions, or use inline defaults meanwhile. |
/// | `RateLimited` | 429 | yes | Retry after `retry_after`, and make fewer calls. |
/// | `Rejected` | 500 | no | Correct the TTL or the defaults that the message names. |
/// | `Shutdown` | 503 | no | Send the request to another instance. |
/// | `Store` | 503 | yes | Retry after `retry_after`. Look after the store if it lasts. |
/// | `Timeout` | 504 | yes | Retry, or allow more time with `max_wait` or `create_timeout`. |
/// | `Unavailable` | 503 | yes | Retry after `retry_after`. |
/// | `WrongAddress` | 502 | no | Correct `base_url`. |
/// | `WrongAnswer` | 502 | no | Ask the server's operators; the message names what differs. |
/// | `WrongDefaults` | 502 | yes | Drop the answer, and retry after `retry_after` with a new session. |
///
/// [`suggested_status`](Self::suggested_status) and [`is_transient`](Self::is_transient) return the two middle columns. The
/// statuses suit a proxy whose callers bring their own API keys. If the key is the service's own, its callers can do nothing about
/// `Credentials` and `NoApiKey`: hand on 502 instead. Where the kind is transient, hand on
/// [`retry_after`](crate::Error::retry_after) as `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The manager's own budget of session calls is used up for now.
    Budget,
    /// A setting is wrong; the message names it and what would be right.
    Config,
    /// The server refuses the API key (401), or its tier may not have sessions (403).
    Credentials,
    /// The request itself is wrong, such as two `X-Session-Id` headers; it was not sent.
    InvalidRequest,
    /// The request bears no API key and none is configured; it was not sent.
    NoApiKey,
    /// There is no tokio runtime to make the session call on, or it has no timers.
    NoRuntime,
    /// The session does not exist, or is another key's (404).
    NotFound,
    /// The key's operations of the day are used up (429 `DAILY_QUOTA_EXCEEDED`).
    Quota,
    /// The server wants fewer calls (429).
    RateLimited,
    /// The server refuses the session as it was asked for (400 and other 4xx).
    Rejected,
    /// The manager is shutting down or has shut down; the request was not sent.
    Shutdown,
    /// The store that a fleet shares cannot be reached, or another process of the fleet is creating the session and is not done.
    Store,
    /// No session within the time allowed.
    Timeout,
    /// The server cannot be reached or cannot answer for now (408, 5xx, connection errors).
    Unavailable,
    /// Whatever answers at the base URL is not Sipher (redirects, 404, HTML). Correct `base_url`; if it is one of the vendor's
    /// two names, the message says which other one to try.
    WrongAddress,
    /// Sipher answered, but not with the session that was asked for.
    WrongAnswer,
    /// A [checked](crate::SessionLayer::checked) layer withheld an answer, because it names another chain than the session, or the merged
    /// body, has:
    /// the server's own defaults applied. The request **was carried out**, so drop what it may have made. A retry gets a new
    /// session. With a [`retry_after`](crate::Error::retry_after) the request **was not sent**: one session after another was answered
    /// under other defaults, and the next one is made later. See [`checked`](crate::checked).
    WrongDefaults,
}

impl ErrorKind {
    /// Returns the status that a service hands on to its own callers. See the table of [`ErrorKind`].
    ///
    /// ```
    /// use sipher_session::ErrorKind;
    ///
    /// assert_eq!(ErrorKind::Unavailable.suggested_status(), 503);
    /// ```
    pub fn suggested_status(self) -> StatusCode {
        match self {
            Self::InvalidRequest => StatusCode::BAD_REQUEST,
            Self::Credentials | Self::NoApiKey => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Quota | Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Config | Self::NoRuntime | Self::Rejected => StatusCode::INTERNAL_SERVER_ERROR,
            Self::WrongAddress | Self::WrongAnswer | Self::WrongDefaults => StatusCode::BAD_GATEWAY,
            Self::Budget | Self::Shutdown | Self::Store | Self::Unavailable => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// Returns whether the same call may succeed later with nothing changed. See the table of [`ErrorKind`].
    pub fn is_transient(self) -> bool {
        use ErrorKind::{Budget, Quota, RateLimited, Store, Timeout, Unavailable, WrongDefaults};
        matches!(
            self,
            Budget | Quota | RateLimited | Store | Timeout | Unavailable | WrongDefaults
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind. A new one does not compile until it is in here.
    fn all() -> Vec<ErrorKind> {
        use ErrorKind::*;
        let after = |kind| match kind {
            Budget => Config,
            Config => Credentials,
            Credentials => InvalidRequest,
            InvalidRequest => NoApiKey,
            NoApiKey => NoRuntime,
            NoRuntime => NotFound,
            NotFound => Quota,
            Quota => RateLimited,
            RateLimited => Rejected,
            Rejected => Shutdown,
            Shutdown => Store,
            Store => Timeout,
            Timeout => Unavailable,
            Unavailable => WrongAddress,
            WrongAddress => WrongAnswer,
            WrongAnswer => WrongDefaults,
            WrongDefaults => Budget,
        };
        let mut kinds = vec![Budget];
        while let Some(next) = kinds.last().map(|last| after(*last))
            && next != Budget
        {
            kinds.push(next);
        }
        kinds
    }

    #[test]
    fn the_table_says_what_the_code_does() {
        let rows = include_str!("kind.rs").lines();
        let rows = rows.filter_map(|line| line.strip_prefix("/// | `"));
        let documented: Vec<_> = rows
            .map(|row| row.splitn(4, " | ").collect::<Vec<_>>())
            .collect();
        let transient = |kind: ErrorKind| if kind.is_transient() { "yes" } else { "no" };
        let expected: Vec<_> = all()
            .into_iter()
            .map(|kind| {
                let status = kind.suggested_status().as_u16().to_string();
                (format!("{kind:?}`"), status, transient(kind))
            })
            .collect();
        assert_eq!(documented.len(), expected.len(), "{documented:?}");
        for (row, (kind, status, transient)) in documented.iter().zip(&expected) {
            assert_eq!(row[..3], [kind.as_str(), status.as_str(), transient]);
            assert!(row[3].len() > 20, "what to do: {row:?}");
        }
    }
}
