//! The fault script: what goes wrong, with which of the next requests, and how often.

use std::time::Duration;

use super::log::Operation;

/// Something that goes wrong with the next matching request.
///
/// ```
/// use sipher_session::testing::{FakeSipher, Fault, Target, What};
///
/// let sipher = FakeSipher::new();
/// // The first create goes through, the next two fail.
/// sipher.fault(Fault::new(What::Status(503)).on(Target::Create).after(1).times(2));
/// ```
#[derive(Clone, Debug)]
pub struct Fault {
    what: What,
    target: Target,
    after: usize,
    times: usize,
}

impl Fault {
    /// Lets `what` happen once, to the next request.
    pub fn new(what: What) -> Self {
        Self {
            what,
            target: Target::Any,
            after: 0,
            times: 1,
        }
    }

    /// Picks the requests it happens to. Defaults to [`Target::Any`].
    #[must_use]
    pub fn on(self, target: Target) -> Self {
        Self { target, ..self }
    }

    /// Lets this many matching requests through first. Defaults to 0.
    #[must_use]
    pub fn after(self, after: usize) -> Self {
        Self { after, ..self }
    }

    /// Lets it happen this often. Defaults to once.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Lets it happen until [`FakeSipher::clear_faults`](super::FakeSipher::clear_faults).
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    fn matches(&self, operation: Operation) -> bool {
        let only_creates = self.what.changes_a_create();
        self.target.matches(operation) && (!only_creates || operation == Operation::Create)
    }
}

/// Which requests a [`Fault`] happens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// Every request.
    Any,
    /// `POST /v1/sessions`.
    Create,
    /// `GET` and `HEAD` of a session.
    Get,
    /// `PATCH` of a session.
    Update,
    /// `DELETE` of a session.
    Delete,
    /// All four.
    SessionCalls,
    /// Everything but the four.
    Others,
}

impl Target {
    fn matches(self, operation: Operation) -> bool {
        match self {
            Self::Any => true,
            Self::Create => operation == Operation::Create,
            Self::Get => operation == Operation::Get,
            Self::Update => operation == Operation::Update,
            Self::Delete => operation == Operation::Delete,
            Self::SessionCalls => operation != Operation::Other,
            Self::Others => operation == Operation::Other,
        }
    }
}

/// What goes wrong.
///
/// "Not handled" means that the server does nothing: no session is made, changed, used or deleted, nothing is counted
/// against a quota. The request is in the log all the same. A status outside 100 to 999 and a malformed header are
/// mistakes in a test, and panic when the fault happens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum What {
    /// Not handled: this status, with the error code that Sipher has for it.
    Status(u16),
    /// Not handled: this status with a page of HTML, as a proxy sends it.
    Html(u16),
    /// Not handled: exactly this answer.
    Answer {
        /// The status.
        status: u16,
        /// Headers; `content-type` is JSON unless named here.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// Not handled: 429 `RATE_LIMIT_EXCEEDED`.
    RateLimited {
        /// Seconds, for the `Retry-After` header.
        retry_after: Option<u64>,
        /// Whether the body's `details.retryAfter` says the same, or 60 if there is nothing to say the same as.
        in_body: bool,
    },
    /// Not handled: 307 to this address.
    RedirectTo(String),
    /// Not handled: 200 (201 for a create) with this many bytes that are no JSON.
    Huge(usize),
    /// Not handled: the status of a success, but half a JSON object in the body.
    Malformed,
    /// Not handled: no connection.
    Refuse,
    /// Not handled: the connection is lost before the request has arrived.
    LoseRequest,
    /// Not handled, and never answered.
    Hang,
    /// Handled after a pause; a caller that gives up in the meantime leaves nothing behind.
    Delay(Duration),
    /// Handled at once and answered after a pause; giving up in the meantime undoes nothing.
    DelayAnswer(Duration),
    /// Handled, and never answered.
    HangAnswer,
    /// Handled, and the connection is lost before the answer.
    LoseAnswer,
    /// Handled, and the connection is lost in the middle of the answer's body.
    HalfBody,
    /// Handled, and answered one byte at a time, each after this pause.
    SlowBody(Duration),
    /// Handled twice; the second answer is the one that arrives.
    DuplicateDelivery,
    /// A create that echoes another chain than it stored.
    EchoWrong,
    /// A create that drops this default, and echoes the rest.
    DropDefault(String),
    /// A create whose session lives this long, as the answer says.
    ShortLife(Duration),
    /// A create whose session goes this much earlier than the answer says.
    ExpireEarly(Duration),
}

impl What {
    fn changes_a_create(&self) -> bool {
        matches!(
            self,
            Self::EchoWrong | Self::DropDefault(_) | Self::ShortLife(_) | Self::ExpireEarly(_)
        )
    }
}

/// The faults that are still to happen, first come first served.
#[derive(Default)]
pub(super) struct Script {
    faults: Vec<Fault>,
}

impl Script {
    pub(super) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.faults.clear();
    }

    /// Takes what happens to a request, if anything.
    pub(super) fn take(&mut self, operation: Operation) -> Option<What> {
        let mut matching = self
            .faults
            .iter_mut()
            .filter(|fault| fault.matches(operation));
        let what = matching.find_map(|fault| {
            if fault.after > 0 {
                fault.after -= 1;
                return None;
            }
            fault.times = fault.times.saturating_sub(1);
            Some(fault.what.clone())
        });
        self.faults.retain(|fault| fault.times > 0);
        what
    }
}
