//! The words that logs and metrics share. They are stable, because dashboards and alerts are built on them.

#[cfg(feature = "tracing")]
use crate::model::outside::OutsideReason;
use crate::model::{inlining::NotInlined, reason::RetireReason};

/// All reasons for which a session is retired.
#[cfg(feature = "metrics")]
pub(crate) const REASONS: [RetireReason; 11] = [
    RetireReason::Changed,
    RetireReason::Evicted,
    RetireReason::Fenced,
    RetireReason::Invalidated,
    RetireReason::Lapsed,
    RetireReason::Leaked,
    RetireReason::Lost,
    RetireReason::Replaced,
    RetireReason::Revoked,
    RetireReason::Shutdown,
    RetireReason::WrongAnswer,
];

pub(crate) fn reason(reason: RetireReason) -> &'static str {
    match reason {
        RetireReason::Changed => "changed",
        RetireReason::Evicted => "evicted",
        RetireReason::Fenced => "fenced",
        RetireReason::Invalidated => "invalidated",
        RetireReason::Lapsed => "lapsed",
        RetireReason::Leaked => "leaked",
        RetireReason::Lost => "lost",
        RetireReason::Replaced => "replaced",
        RetireReason::Revoked => "revoked",
        RetireReason::Shutdown => "shutdown",
        RetireReason::WrongAnswer => "wrong_answer",
    }
}

/// All reasons that are counted for bodies without the defaults.
#[cfg(feature = "metrics")]
pub(crate) const NOT_INLINED: [NotInlined; 7] = [
    NotInlined::NoBody,
    NotInlined::NotAnObject,
    NotInlined::Encoded,
    NotInlined::Charset,
    NotInlined::TooLong,
    NotInlined::BodyFailed,
    NotInlined::NoLayer,
];

pub(crate) fn not_inlined(reason: NotInlined) -> &'static str {
    match reason {
        NotInlined::NotJson => "not_json",
        NotInlined::NoType => "no_type",
        NotInlined::NoBody => "no_body",
        NotInlined::NotAnObject => "not_an_object",
        NotInlined::Encoded => "encoded",
        NotInlined::Charset => "charset",
        NotInlined::TooLong => "too_long",
        NotInlined::BodyFailed => "body_failed",
        NotInlined::NoLayer => "no_layer",
    }
}

#[cfg(feature = "tracing")]
pub(crate) fn outside(reason: OutsideReason) -> &'static str {
    match reason {
        OutsideReason::VendorsDomain => "vendors_domain",
        OutsideReason::Loopback => "loopback",
        OutsideReason::ApiKey => "api_key",
    }
}
