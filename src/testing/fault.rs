//! The fault script: what goes wrong, with which of the next requests, and how often.

use std::{net::IpAddr, time::Duration};

use super::{
    call::{Call, Route},
    log::Operation,
};

/// A fault: something that goes wrong with the next matching request.
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
    /// Creates a fault that happens once, to the next request.
    pub fn new(what: What) -> Self {
        Self {
            what,
            target: Target::Any,
            after: 0,
            times: 1,
        }
    }

    /// Sets which requests the fault happens to. Defaults to [`Target::Any`].
    #[must_use]
    pub fn on(self, target: Target) -> Self {
        Self { target, ..self }
    }

    /// Lets this many matching requests pass first. Defaults to 0.
    #[must_use]
    pub fn after(self, after: usize) -> Self {
        Self { after, ..self }
    }

    /// Sets how often the fault happens. Defaults to once.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Repeats the fault until [`FakeSipher::clear_faults`](super::FakeSipher::clear_faults).
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    fn matches(&self, call: &Call) -> bool {
        let only_creates = self.what.changes_a_create();
        let only_health = self.what.changes_health();
        self.target.matches(call)
            && (!only_creates || call.operation() == Operation::Create)
            && (!only_health || call.route == Route::Health)
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
    /// All four session calls.
    SessionCalls,
    /// Every request but the four session calls.
    Others,
    /// `/v1/health`.
    Health,
    /// Every request but the four session calls and `/v1/health`.
    Calls,
}

impl Target {
    fn matches(self, call: &Call) -> bool {
        let operation = call.operation();
        let is_health = call.route == Route::Health;
        match self {
            Self::Any => true,
            Self::Create => operation == Operation::Create,
            Self::Get => operation == Operation::Get,
            Self::Update => operation == Operation::Update,
            Self::Delete => operation == Operation::Delete,
            Self::SessionCalls => operation != Operation::Other,
            Self::Others => operation == Operation::Other,
            Self::Health => is_health,
            Self::Calls => operation == Operation::Other && !is_health,
        }
    }
}

/// What goes wrong.
///
/// "Not handled" means that the server does nothing: it creates, changes, uses or deletes no session, and counts
/// nothing against a quota. The request is in the log all the same.
///
/// A status outside of 100 to 999, or a malformed header, is a mistake in the test. It panics when the fault happens.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum What {
    /// Not handled: this status, with Sipher's error code for it.
    ///
    /// The answer carries `X-Request-ID` and a rate-limit window, as the application writes them. The exceptions are
    /// 502, 503, 504 and the statuses of [`Cloudflare`](Self::Cloudflare). Sipher itself writes these only while it
    /// shuts down, and then without these headers.
    Status(u16),
    /// Not handled: this status and this error code, such as 503 `SOLANA_RPC_UNAVAILABLE`. The application itself wrote
    /// the answer, so it carries `X-Request-ID` and the rate-limit window.
    Error(u16, &'static str),
    /// Not handled: this status with an HTML page, as a proxy sends it.
    Html(u16),
    /// Not handled: 520 to 527 or 530 with Cloudflare's page, which says that the server behind it is restarting or
    /// gone.
    Cloudflare(u16),
    /// Not handled: 503 as the server writes it while it shuts down. `/v1/health` then says `shutting_down`.
    ShuttingDown,
    /// Not handled: exactly this answer.
    Answer {
        /// The status.
        status: u16,
        /// The headers. `content-type` is JSON unless it is among them.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// Not handled: 429 `RATE_LIMIT_EXCEEDED`.
    RateLimited {
        /// Seconds, for the `Retry-After` header.
        retry_after: Option<u64>,
        /// Whether the body has the same value in `details.retryAfter`. Without `retry_after`, the body says 60.
        in_body: bool,
    },
    /// Not handled: 307 to this address.
    RedirectTo(String),
    /// Not handled: 200 (201 for a create) with this many bytes that are not JSON.
    Huge(usize),
    /// Not handled: the status of a success, with half a JSON object as its body.
    Malformed,
    /// Not handled: the connection is refused.
    Refuse,
    /// Not handled: the connection is lost before the request has arrived.
    LoseRequest,
    /// Not handled, and never answered.
    Hang,
    /// Handled after a pause. If the caller gives up during the pause, the server does nothing.
    Delay(Duration),
    /// Handled at once and answered after a pause. If the caller gives up during the pause, the request has been
    /// carried out all the same.
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
    /// Handled as if it came from this address, so that the answer shows another caller's rate-limit window.
    SeenFrom(IpAddr),
    /// A health answer from a cache: the health of some time ago, maybe of a process that has ended since.
    CachedHealth {
        /// The age of the answer.
        age: Duration,
        /// Whether the cache adds an `Age` header.
        is_told: bool,
    },
    /// A health answer without `uptime`.
    NoUptime,
    /// A create that echoes another chain than it has stored.
    EchoWrong,
    /// A create that drops this default, and echoes the rest.
    DropDefault(String),
    /// A create whose session lives this long, as its answer says.
    ShortLife(Duration),
    /// A create whose session ends this much earlier than its answer says.
    ExpireEarly(Duration),
}

impl What {
    fn changes_a_create(&self) -> bool {
        matches!(
            self,
            Self::EchoWrong | Self::DropDefault(_) | Self::ShortLife(_) | Self::ExpireEarly(_)
        )
    }

    fn changes_health(&self) -> bool {
        matches!(self, Self::CachedHealth { .. } | Self::NoUptime)
    }
}

/// The faults that are still to happen. If several match a request, the first one happens.
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

    /// Takes the next fault for a request, if there is one.
    pub(super) fn take(&mut self, call: &Call) -> Option<What> {
        let faults = self.faults.iter_mut();
        let mut matching = faults.filter(|fault| fault.matches(call));
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
