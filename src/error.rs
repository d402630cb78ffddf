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

/// A boxed error, as tower services use it.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// An error of this crate.
///
/// tower services return it inside a [`BoxError`], `reqwest-middleware` inside its `Error::Middleware`; both can be
/// downcast to it. [`Error::find`] also finds it below the wrappers of others.
///
/// # Its sources
///
/// A wrapper that is transparent (`#[error(transparent)]`, `reqwest-retry`, `anyhow`) shows only the sources of the error inside.
/// So the first [`source`](std::error::Error::source) of this error is an `Error` as well, with the same kind and values. It displays the
/// cause, or the kind where there is no cause. No line is printed twice.
#[derive(Clone)]
pub struct Error(Arc<Told>);

/// What is said to one caller.
struct Told {
    facts: Arc<Facts>,
    retry_after: Option<Duration>,
    /// Where that is not the same.
    next_attempt: Option<Duration>,
    /// No call was made: an earlier failure holds it back.
    is_held_back: bool,
    /// Of whose session: base URL, chain and key.
    about: Option<Arc<str>>,
    /// The error whose first source this one is.
    whole: Option<Error>,
    /// Made when it is asked for.
    source: OnceLock<Error>,
}

/// What went wrong, the same for everybody.
struct Facts {
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

impl Error {
    /// Returns what kind of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.facts().kind
    }

    /// Finds an error of this crate in the causes of another, as clients, middleware and `anyhow` wrap it.
    ///
    /// Takes a reference to whatever holds an error: a [`BoxError`], `anyhow::Error`, `reqwest_middleware::Error`, a `dyn Error`, or
    /// any error type.
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

    /// Returns whether the same call may succeed later with nothing changed. [`ErrorKind`] has a table.
    pub fn is_transient(&self) -> bool {
        self.kind().is_transient()
    }

    /// Returns how long to wait before another try can succeed, if that is known.
    ///
    /// Until then, requests that need the same session fail at once with this error; only a server that wants fewer
    /// calls is waited for, where `max_wait` allows. For [`Quota`](ErrorKind::Quota) it is the time until the server resets the
    /// quota; this crate asks sooner, see [`next_attempt_in`](Self::next_attempt_in).
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns how long until this crate makes its next session call for a request like the one that failed, if that is known.
    ///
    /// It is shorter than [`retry_after`](Self::retry_after) where the crate checks every now and then whether the server has changed
    /// its mind: every 15 min while a day's quota is used up. Otherwise the two are the same.
    pub fn next_attempt_in(&self) -> Option<Duration> {
        self.0.next_attempt.or(self.0.retry_after)
    }

    /// Returns the server's own error code, such as `TIER_ACCESS_DENIED`; codes that this crate does not know are kept.
    pub fn code(&self) -> Option<&str> {
        self.facts().answer.as_ref()?.code.as_deref()
    }

    /// Returns the status of the server's answer, if there was one.
    pub fn status(&self) -> Option<StatusCode> {
        Some(self.facts().answer.as_ref()?.status)
    }

    /// Returns the `details` of the server's error, without session ids and keys.
    pub fn details(&self) -> Option<&Value> {
        self.facts().answer.as_ref()?.details.as_ref()
    }

    /// Returns the server's `X-Request-ID`, for asking its operators.
    pub fn request_id(&self) -> Option<&str> {
        self.facts().answer.as_ref()?.request_id.as_deref()
    }

    /// Whether Sipher's application wrote the answer, and not a gateway in front of it.
    pub(crate) fn is_by_application(&self) -> bool {
        let answer = self.facts().answer.as_ref();
        answer.is_some_and(|answer| answer.is_by_application)
    }

    /// The rate-limit window of the server's answer, if there was one.
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

    /// Says it in other words. Only for errors that nobody shares yet.
    pub(crate) fn with_message(self, message: String) -> Self {
        self.map(|inner| inner.message = message.into())
    }

    /// Says in the message what to do about it.
    pub(crate) fn with_hint(self, hint: impl fmt::Display) -> Self {
        self.map(|facts| facts.message = format!("{}; {hint}", facts.message).into())
    }

    /// The call may have been carried out although no usable answer came.
    pub(crate) fn with_unknown_outcome(self) -> Self {
        self.map(|facts| facts.unknown_outcome = true)
    }

    pub(crate) fn with_retry_after(self, after: impl Into<Option<Duration>>) -> Self {
        let after = after.into();
        self.tell(|told| (told.retry_after, told.next_attempt) = (after, None))
    }

    /// When this crate asks next, whenever a try can succeed.
    pub(crate) fn with_next_attempt(self, after: Duration) -> Self {
        self.tell(|told| told.next_attempt = Some(after))
    }

    /// What an earlier failure says to who makes no call because of it.
    pub(crate) fn held_back(self) -> Self {
        self.tell(|told| told.is_held_back = true)
    }

    pub(crate) fn is_held_back(&self) -> bool {
        self.0.is_held_back
    }

    /// Says whose session it is about, in place of what was said before: failures are shared.
    fn about(self, whose: impl Into<Arc<str>>) -> Self {
        let whose = whose.into();
        self.tell(|told| told.about = Some(whose))
    }

    /// The same facts, told otherwise.
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

    /// What caused it, without the `Error` that stands between.
    pub(crate) fn cause(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&**self.facts().source.as_ref()?)
    }

    pub(crate) fn is_unknown_outcome(&self) -> bool {
        self.facts().unknown_outcome
    }

    /// Only for errors that are still being built, which nobody shares yet.
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
    /// Takes the place of the cause, or of none: whatever prints a chain has printed the message before.
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
        // A copy, as the error itself would keep itself alive.
        let as_source = || {
            let whole = Some(self.tell(|_| ()));
            self.tell(|told| told.whole = whole)
        };
        Some(self.0.source.get_or_init(as_source))
    }
}
