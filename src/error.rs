//! The error type of this crate: one opaque type.
//!
//! An [`Error`] displays one message. Its cause, if there is one, is its [`source`](std::error::Error::source). An
//! `Error` is cheap to clone, because all requests that waited for the same session call get the same error.
//!
//! Let your program decide by [`Error::kind`], [`Error::code`] and [`Error::status`]. The wording, and the types of the
//! sources, may change in any release.
//!
//! ```
//! use sipher_session::{ErrorKind, SessionManager};
//!
//! let error = SessionManager::builder().api_key("").build().unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::Config);
//! assert_eq!(error.to_string(), "api_key: is empty; expected a Sipher API key such as `sk_pro_…`");
//! ```

mod about;
mod find;
mod kind;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow,
    error::Error as StdError,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::StatusCode;
use serde_json::Value;

pub(crate) use self::about::About;
use self::find::AnyError;
pub use self::kind::ErrorKind;
use crate::api::Stamp;

/// A boxed error, as tower services return it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// An error of this crate. [`kind`](Self::kind) says what to do about it.
///
/// tower services return it inside a [`BoxError`], `reqwest-middleware` inside its `Error::Middleware`. Both can be
/// downcast to `Error`. [`Error::find`] also finds it inside the error types of other crates.
///
/// # Sources
///
/// Printing an error with all its sources shows each text once.
///
/// Some wrappers hide the error inside them: they show its text as their own, and their `source` skips it. Examples are
/// `#[error(transparent)]`, `reqwest-retry` and `anyhow`. Code that searches the sources would not find the hidden
/// `Error`.
///
/// So the first [`source`](std::error::Error::source) of an `Error` is a second `Error`, with the same kind and values.
/// The second one displays the cause, or the kind if there is no cause.
#[derive(Clone)]
pub struct Error(Arc<Told>);

/// The part of an error that belongs to one caller. The [`Facts`] are shared with the other callers.
struct Told {
    facts: Arc<Facts>,
    retry_after: Option<Duration>,
    /// Set only if the crate makes its next call earlier than `retry_after` says.
    next_attempt: Option<Duration>,
    /// Whether no call was made for this caller, because calls are paused after an earlier failure.
    is_held_back: bool,
    /// Which session the error is about: base URL, chain and key.
    about: Option<Arc<str>>,
    /// Set only on an error that is the first source of another error: that other error.
    whole: Option<Error>,
    /// The first source. Created when somebody asks for it.
    source: OnceLock<Error>,
}

/// What went wrong. All callers that share the failure share this value.
struct Facts {
    kind: ErrorKind,
    message: Cow<'static, str>,
    answer: Option<Answer>,
    unknown_outcome: bool,
    source: Option<BoxError>,
}

/// What the error keeps of the server's answer. Optional fields are `None` if the answer does not have Sipher's form.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) code: Option<String>,
    pub(crate) details: Option<Value>,
    pub(crate) request_id: Option<String>,
    /// Whether Sipher's application wrote the answer, and not a gateway in front of it.
    pub(crate) is_by_application: bool,
    /// The rate-limit window in which the server counted the call.
    pub(crate) window: Option<Stamp>,
}

impl Error {
    /// Returns what kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.facts().kind
    }

    /// Finds an error of this crate among the causes of another error, such as one of a client, a middleware or
    /// `anyhow`.
    ///
    /// Takes a reference to a [`BoxError`], `anyhow::Error`, `reqwest_middleware::Error`, `dyn Error`, or any other
    /// error type.
    ///
    /// ```
    /// # #[cfg(feature = "reqwest-middleware")]
    /// # fn run(error: reqwest_middleware::Error) {
    /// if let Some(error) = sipher_session::Error::find(&error) {
    ///     eprintln!("no session: {:?}", error.kind());
    /// }
    /// # }
    /// ```
    pub fn find<const WAY: u8>(error: &(impl AnyError<WAY> + ?Sized)) -> Option<&Self> {
        let mut next = Some(error.as_std());
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found.0.whole.as_ref().unwrap_or(found));
            }
            next = error.source();
        }
        None
    }

    /// Returns whether the same call may succeed later although nothing was changed. [`ErrorKind`] has a table.
    pub fn is_transient(&self) -> bool {
        self.kind().is_transient()
    }

    /// Returns how long to wait until another try can succeed, if that is known.
    ///
    /// Until then, requests that need the same session fail at once with this error. There is one exception: if the
    /// server asks for fewer calls, requests wait as long as `max_wait` allows.
    ///
    /// For [`Quota`](ErrorKind::Quota) this is the time until the server resets the quota. The crate itself tries
    /// earlier: see [`next_attempt_in`](Self::next_attempt_in).
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns how long until this crate makes its next session call for a request like the one that failed, if that is
    /// known.
    ///
    /// This is shorter than [`retry_after`](Self::retry_after) if the crate checks in between whether the server
    /// accepts calls again. While the quota of a day is used up, the crate checks every 15 min. Otherwise the two are
    /// the same.
    pub fn next_attempt_in(&self) -> Option<Duration> {
        self.0.next_attempt.or(self.0.retry_after)
    }

    /// Returns the server's own error code, such as `TIER_ACCESS_DENIED`. A code that this crate does not know is
    /// returned too.
    pub fn code(&self) -> Option<&str> {
        self.facts().answer.as_ref()?.code.as_deref()
    }

    /// Returns the status of the server's answer, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        Some(self.facts().answer.as_ref()?.status)
    }

    /// Returns the `details` of the server's error, with session ids and keys removed.
    pub fn details(&self) -> Option<&Value> {
        self.facts().answer.as_ref()?.details.as_ref()
    }

    /// Returns the server's `X-Request-ID`. Quote it when you ask the server's operators.
    pub fn request_id(&self) -> Option<&str> {
        self.facts().answer.as_ref()?.request_id.as_deref()
    }

    /// Returns whether Sipher's application wrote the answer, and not a gateway in front of it.
    pub(crate) fn is_by_application(&self) -> bool {
        let answer = self.facts().answer.as_ref();
        answer.is_some_and(|answer| answer.is_by_application)
    }

    /// Returns the rate-limit window of the server's answer, if there was one.
    pub(crate) fn window(&self) -> Option<Stamp> {
        self.facts().answer.as_ref()?.window
    }

    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        let facts = Facts {
            kind,
            message: message.into(),
            answer: None,
            unknown_outcome: false,
            source: None,
        };
        Self::told(Arc::new(facts))
    }

    fn told(facts: Arc<Facts>) -> Self {
        Self(Arc::new(Told {
            facts,
            retry_after: None,
            next_attempt: None,
            is_held_back: false,
            about: None,
            whole: None,
            source: OnceLock::new(),
        }))
    }

    fn facts(&self) -> &Facts {
        &self.0.facts
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
        self.map(|facts| facts.answer = Some(answer))
    }

    pub(crate) fn with_source(self, source: impl Into<BoxError>) -> Self {
        self.map(|facts| facts.source = Some(source.into()))
    }

    /// Replaces the message. Panics if the error is shared already.
    pub(crate) fn with_message(self, message: String) -> Self {
        self.map(|inner| inner.message = message.into())
    }

    /// Adds to the message what to do about the error.
    pub(crate) fn with_hint(self, hint: impl fmt::Display) -> Self {
        self.map(|facts| facts.message = format!("{}; {hint}", facts.message).into())
    }

    /// Marks the call as one that the server may have carried out although no usable answer came.
    pub(crate) fn with_unknown_outcome(self) -> Self {
        self.map(|facts| facts.unknown_outcome = true)
    }

    pub(crate) fn with_retry_after(self, after: impl Into<Option<Duration>>) -> Self {
        let after = after.into();
        self.tell(|told| (told.retry_after, told.next_attempt) = (after, None))
    }

    /// Sets when this crate makes its next call, if that differs from `retry_after`.
    pub(crate) fn with_next_attempt(self, after: Duration) -> Self {
        self.tell(|told| told.next_attempt = Some(after))
    }

    /// Marks the error of a caller for whom no call was made, because calls are paused after an earlier failure.
    pub(crate) fn held_back(self) -> Self {
        self.tell(|told| told.is_held_back = true)
    }

    pub(crate) fn is_held_back(&self) -> bool {
        self.0.is_held_back
    }

    /// Adds to the message which session the error is about. Several sessions may share one failure, so this replaces
    /// the text about another session.
    fn about(self, whose: impl Into<Arc<str>>) -> Self {
        let whose = whose.into();
        self.tell(|told| told.about = Some(whose))
    }

    /// Returns an error with the same facts, and `change` applied to the rest.
    fn tell(&self, change: impl FnOnce(&mut Told)) -> Self {
        let mut told = Told {
            facts: self.0.facts.clone(),
            retry_after: self.0.retry_after,
            next_attempt: self.0.next_attempt,
            is_held_back: self.0.is_held_back,
            about: self.0.about.clone(),
            whole: None,
            source: OnceLock::new(),
        };
        change(&mut told);
        Self(Arc::new(told))
    }

    /// Returns the cause itself. [`source`](StdError::source) returns an `Error` that displays the cause.
    pub(crate) fn cause(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&**self.facts().source.as_ref()?)
    }

    pub(crate) fn is_unknown_outcome(&self) -> bool {
        self.facts().unknown_outcome
    }

    /// Changes the facts of an error that is still being built. Panics if the error is shared already.
    fn map(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        let told = Arc::get_mut(&mut self.0);
        let facts = told.and_then(|told| Arc::get_mut(&mut told.facts));
        change(facts.expect("an error under construction is not shared"));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.whole.is_some() {
            return self.fmt_as_source(f);
        }
        f.write_str(&self.facts().message)?;
        match &self.0.about {
            Some(whose) => write!(f, " ({whose})"),
            None => Ok(()),
        }
    }
}

impl Error {
    /// Displays an `Error` that is the first source of another one: prints the cause, or the kind if there is no cause.
    /// Code that prints a chain has already printed the message.
    fn fmt_as_source(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.cause(), self.retry_after()) {
            (Some(cause), _) => fmt::Display::fmt(cause, f),
            (None, Some(after)) => write!(f, "{:?}, retry after {after:?}", self.kind()),
            (None, None) => write!(f, "{:?}", self.kind()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (facts, mut debug) = (self.facts(), f.debug_struct("Error"));
        debug
            .field("kind", &facts.kind)
            .field("message", &facts.message);
        if let Some(whose) = &self.0.about {
            debug.field("about", whose);
        }
        if let Some(answer) = &facts.answer {
            debug.field("answer", answer);
        }
        if let Some(after) = self.retry_after() {
            debug.field("retry_after", &after);
        }
        if let Some(source) = &facts.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        if self.0.whole.is_some() {
            return self.cause()?.source();
        }
        // The source points to a copy. If it pointed to this error itself, the two would keep each other alive.
        let as_source = || {
            let whole = Some(self.tell(|_| ()));
            self.tell(|told| told.whole = whole)
        };
        Some(self.0.source.get_or_init(as_source))
    }
}
