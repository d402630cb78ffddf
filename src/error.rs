//! What can go wrong, as one opaque type.
//!
//! An [`Error`] says one thing on its own level; the cause, where there is one, is its
//! [`source`](std::error::Error::source). It is cheap to clone, because everyone who waited for the same session call
//! gets the same error. The wording and the types of the sources may change in any release; [`Error::kind`],
//! [`Error::code`] and [`Error::status`] are what programs decide on.
//!
//! ```
//! use sipher_session::{ErrorKind, SessionManager};
//!
//! let error = SessionManager::builder().api_key("").build().unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Config);
//! assert_eq!(error.to_string(), "api_key: is empty; expected a Sipher API key such as `sk_pro_…`");
//! ```

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc, time::Duration};

use http::StatusCode;
use serde_json::Value;

use crate::evidence::window::Stamp;

/// A boxed error, as tower services use it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// An error of this crate.
///
/// tower services return it inside a [`BoxError`], `reqwest-middleware` inside its `Error::Middleware`; both can be
/// downcast to it.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
    retry_after: Option<Duration>,
}

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    answer: Option<Answer>,
    unknown_outcome: bool,
    source: Option<BoxError>,
}

/// What the server said, as far as it said it in Sipher's own form.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) code: Option<String>,
    pub(crate) details: Option<Value>,
    pub(crate) request_id: Option<String>,
    /// Sipher's application wrote it, and not a gateway in front.
    pub(crate) is_by_application: bool,
    /// The rate-limit window that it was counted in.
    pub(crate) window: Option<Stamp>,
}

/// What kind of error it is, and so what can be done about it.
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
    /// There is no tokio runtime to make the session call on.
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
    /// The store that a fleet shares cannot be reached, or another process of the fleet makes the session and is not done.
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
    /// session. With a [`retry_after`](Error::retry_after) the request **was not sent**: one session after another was answered
    /// under other defaults, and the next one is made later. See [`checked`](crate::checked).
    WrongDefaults,
}

impl Error {
    /// Returns what kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// Finds an error of this crate in the causes of another, as clients wrap it.
    ///
    /// ```
    /// # #[cfg(feature = "reqwest-middleware")]
    /// # fn run(error: reqwest_middleware::Error) {
    /// if let Some(error) = sipher_session::Error::find(&error) {
    ///     eprintln!("no session: {:?}", error.kind());
    /// }
    /// # }
    /// ```
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref().or_else(|| in_middleware(error)) {
                return Some(found);
            }
            next = error.source();
        }
        None
    }

    /// Returns whether the same call may succeed later with nothing changed.
    pub fn is_transient(&self) -> bool {
        use ErrorKind::{Budget, Quota, RateLimited, Store, Timeout, Unavailable, WrongDefaults};
        matches!(
            self.inner.kind,
            Budget | Quota | RateLimited | Store | Timeout | Unavailable | WrongDefaults
        )
    }

    /// Returns how long to wait before another try can succeed, if that is known.
    ///
    /// Until then, requests that need the same session fail at once with this error; only a server that wants fewer
    /// calls is waited for, where `max_wait` allows.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Returns the server's own error code, such as `TIER_ACCESS_DENIED`; codes that this crate does not know are kept.
    pub fn code(&self) -> Option<&str> {
        self.inner.answer.as_ref()?.code.as_deref()
    }

    /// Returns the status of the server's answer, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        Some(self.inner.answer.as_ref()?.status)
    }

    /// Returns the `details` of the server's error, without session ids and keys.
    pub fn details(&self) -> Option<&Value> {
        self.inner.answer.as_ref()?.details.as_ref()
    }

    /// Returns the server's `X-Request-ID`, for asking its operators.
    pub fn request_id(&self) -> Option<&str> {
        self.inner.answer.as_ref()?.request_id.as_deref()
    }

    /// Whether Sipher's application wrote the answer, and not a gateway in front of it.
    pub(crate) fn is_by_application(&self) -> bool {
        let answer = self.inner.answer.as_ref();
        answer.is_some_and(|answer| answer.is_by_application)
    }

    /// The rate-limit window of the server's answer, if there was one.
    pub(crate) fn window(&self) -> Option<Stamp> {
        self.inner.answer.as_ref()?.window
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        let inner = Inner {
            kind,
            message,
            answer: None,
            unknown_outcome: false,
            source: None,
        };
        Self {
            inner: Arc::new(inner),
            retry_after: None,
        }
    }

    pub(crate) fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    pub(crate) fn shutdown() -> Self {
        Self::new(
            ErrorKind::Shutdown,
            "the session manager has been shut down",
        )
    }

    pub(crate) fn with_answer(self, answer: Answer) -> Self {
        self.map(|inner| inner.answer = Some(answer))
    }

    pub(crate) fn with_source(self, source: impl Into<BoxError>) -> Self {
        self.map(|inner| inner.source = Some(source.into()))
    }

    /// Says it in other words. Only for errors that nobody shares yet.
    pub(crate) fn with_message(self, message: String) -> Self {
        self.map(|inner| inner.message = message.into())
    }

    /// Says in the message what to do about it.
    pub(crate) fn with_hint(self, hint: impl fmt::Display) -> Self {
        self.map(|inner| inner.message = format!("{}; {hint}", inner.message).into())
    }

    /// The call may have been carried out although no usable answer came.
    pub(crate) fn with_unknown_outcome(self) -> Self {
        self.map(|inner| inner.unknown_outcome = true)
    }

    pub(crate) fn with_retry_after(mut self, after: impl Into<Option<Duration>>) -> Self {
        self.retry_after = after.into();
        self
    }

    pub(crate) fn is_unknown_outcome(&self) -> bool {
        self.inner.unknown_outcome
    }

    /// Only for errors that are still being built, which nobody shares yet.
    fn map(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::get_mut(&mut self.inner).expect("an error under construction is not shared"));
        self
    }
}

/// `reqwest_middleware` leaves the error itself out of the chain of its causes.
#[cfg(feature = "reqwest-middleware")]
fn in_middleware<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    match error.downcast_ref()? {
        reqwest_middleware::Error::Middleware(error) => error.downcast_ref(),
        reqwest_middleware::Error::Reqwest(_) => None,
    }
}

#[cfg(not(feature = "reqwest-middleware"))]
fn in_middleware<'a>(_: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    None
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug
            .field("kind", &self.inner.kind)
            .field("message", &self.inner.message);
        if let Some(answer) = &self.inner.answer {
            debug.field("answer", answer);
        }
        if let Some(after) = self.retry_after {
            debug.field("retry_after", &after);
        }
        if let Some(source) = &self.inner.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&**self.inner.source.as_ref()?)
    }
}
