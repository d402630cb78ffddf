//! Counts how often defaults were put into bodies, and why they were not.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::inlining::{Inlined, NotInlined};

/// Requests whose body should name the defaults but does not, by reason. See [`NotInlined`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotInlinedStats {
    /// Requests with a JSON type but without a body. See [`NotInlined::NoBody`].
    pub no_body: u64,
    /// See [`NotInlined::NotAnObject`].
    pub not_an_object: u64,
    /// See [`NotInlined::Encoded`].
    pub encoded: u64,
    /// See [`NotInlined::Charset`].
    pub charset: u64,
    /// See [`NotInlined::TooLong`].
    pub too_long: u64,
    /// See [`NotInlined::BodyFailed`].
    pub body_failed: u64,
    /// See [`NotInlined::NoLayer`].
    pub no_layer: u64,
}

#[derive(Debug, Default)]
pub(crate) struct InlineCounts {
    inlined: AtomicU64,
    no_body: AtomicU64,
    not_an_object: AtomicU64,
    encoded: AtomicU64,
    charset: AtomicU64,
    too_long: AtomicU64,
    body_failed: AtomicU64,
    no_layer: AtomicU64,
}

impl InlineCounts {
    /// Counts a request. Returns whether it is the first request in its counter.
    pub(crate) fn count(&self, inlined: Inlined) -> bool {
        let counter = match inlined {
            Inlined::Merged | Inlined::Complete => &self.inlined,
            Inlined::Not { reason } => match reason {
                NotInlined::NotJson | NotInlined::NoType => return false,
                NotInlined::NoBody => &self.no_body,
                NotInlined::NotAnObject => &self.not_an_object,
                NotInlined::Encoded => &self.encoded,
                NotInlined::Charset => &self.charset,
                NotInlined::TooLong => &self.too_long,
                NotInlined::BodyFailed => &self.body_failed,
                NotInlined::NoLayer => &self.no_layer,
            },
            Inlined::Off => return false,
        };
        counter.fetch_add(1, Ordering::Relaxed) == 0
    }

    pub(crate) fn inlined(&self) -> u64 {
        self.inlined.load(Ordering::Relaxed)
    }

    pub(crate) fn not_inlined(&self) -> NotInlinedStats {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        NotInlinedStats {
            no_body: get(&self.no_body),
            not_an_object: get(&self.not_an_object),
            encoded: get(&self.encoded),
            charset: get(&self.charset),
            too_long: get(&self.too_long),
            body_failed: get(&self.body_failed),
            no_layer: get(&self.no_layer),
        }
    }
}
