//! The kinds of errors, and what to do about each.

use http::StatusCode;

/// The kind of an [`Error`](crate::Error). It says what to do about it.
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
/// | `Store` | 503 | yes | Retry after `retry_after`. If it lasts, check the store. |
/// | `Timeout` | 504 | yes | Retry, or allow more time with `max_wait` or `create_timeout`. |
/// | `Unavailable` | 503 | yes | Retry after `retry_after`. |
/// | `WrongAddress` | 502 | no | Correct `base_url`. |
/// | `WrongAnswer` | 502 | no | Ask the server's operators; the message names what differs. |
/// | `WrongDefaults` | 502 | yes | Drop the answer, and retry after `retry_after` with a new session. |
///
/// [`suggested_status`](Self::suggested_status) and [`is_transient`](Self::is_transient) return the two middle columns.
/// If the kind is transient, send [`retry_after`](crate::Error::retry_after) to your callers as `Retry-After`.
///
/// The statuses suit a proxy whose callers bring their own API keys. If the key belongs to your service, its callers
/// cannot correct `Credentials` and `NoApiKey`: return 502 for these two instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The manager's own budget of session calls is used up. Retry after `retry_after`; if this comes often, raise
    /// `call_budget`.
    Budget,
    /// A setting is wrong. Correct it: the message names the setting and what it expects.
    Config,
    /// The server refuses the API key (401), or the key's tier may not have sessions (403). Replace the key or upgrade
    /// its tier.
    Credentials,
    /// The request itself is wrong, such as one with two `X-Session-Id` headers. It was not sent. Correct the request.
    InvalidRequest,
    /// The request carries no API key and none is configured. It was not sent. Put a key on the request, or configure
    /// one.
    NoApiKey,
    /// There is no tokio runtime to make the session call on, or the runtime has no timers. Call from a runtime that
    /// has both time and I/O enabled.
    NoRuntime,
    /// The session does not exist, or belongs to another key (404). Create another session.
    NotFound,
    /// The key has used up its operations of the day (429 `DAILY_QUOTA_EXCEEDED`). Retry after `retry_after`, when the
    /// quota resets.
    Quota,
    /// The server asks for fewer calls (429). Retry after `retry_after`.
    RateLimited,
    /// The server refuses to create such a session (400 and other 4xx). Correct the TTL or the defaults that the
    /// message names.
    Rejected,
    /// The manager is shutting down or has shut down. The request was not sent. Send it to another instance.
    Shutdown,
    /// The fleet's shared store cannot be reached, or another process of the fleet is still creating the session. Retry
    /// after `retry_after`.
    Store,
    /// The request got no session in the time allowed. Retry, or raise `max_wait` or `create_timeout`.
    Timeout,
    /// The server cannot be reached or cannot answer at the moment (408, 5xx, connection errors). Retry after
    /// `retry_after`.
    Unavailable,
    /// The server at the base URL is not Sipher (redirects, 404, HTML). Correct `base_url`. If it is one of the
    /// vendor's two names, the message says which other name to try.
    WrongAddress,
    /// Sipher answered, but not with the session that was asked for. Ask the server's operators: the message says what
    /// differs.
    WrongAnswer,
    /// A [checked](crate::SessionLayer::checked) layer withheld an answer: it names another chain than the session or
    /// the merged body has. The server has applied its own defaults.
    ///
    /// Without a [`retry_after`](crate::Error::retry_after), the request **was carried out**: discard what it may have
    /// created, and retry. The retry gets a new session.
    ///
    /// With a `retry_after`, the request **was not sent**: several sessions in a row got answers under other defaults,
    /// and the next session is not due yet. See [`checked`](crate::checked).
    WrongDefaults,
}

impl ErrorKind {
    /// Returns the status that a service may return to its own callers. See the table of [`ErrorKind`].
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

    /// Returns whether the same call may succeed later although nothing was changed. See the table of [`ErrorKind`].
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

    /// Returns every kind. A new kind does not compile until it is in this list.
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
