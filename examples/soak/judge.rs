//! Whose fault it is that the server got an id that it had forgotten.

use std::time::Duration;

use sipher_session::{Fingerprint, RetireReason};

use crate::{VERIFY_EVERY, record::Seen};

/// Until then the server is asked about every session in use, with all that may keep a check waiting.
pub(crate) const NOTICED_WITHIN: Duration = VERIFY_EVERY.saturating_add(Duration::from_secs(5));
/// The server looks its session up at most this much after a call has arrived.
const HANDLED: Duration = Duration::from_millis(100);

/// The server has forgotten all sessions.
pub(crate) struct Forgetting {
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
    /// When a caller, or the manager itself, first had reason to think so.
    pub(crate) first_sign: Option<Duration>,
}

/// A call that reached the server with an id that stood for nothing.
pub(crate) struct Downgrade {
    /// `None` for what is no id at all.
    pub(crate) session: Option<Fingerprint>,
    /// When its caller began it, before the layer saw it.
    pub(crate) began: Duration,
    pub(crate) arrived: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It began when there had been a sign that the server had forgotten.
    AfterASign,
    /// No call met it, and the check that finds such a thing was overdue.
    Overdue,
    /// `Event::Lost` named its session, and a span in which it was under way.
    Named,
    /// Its session was put out of use for another reason, before anybody asked the server about it.
    NeverAskedAbout,
    Unnamed,
}

impl Verdict {
    pub(crate) fn of(downgrade: &Downgrade, seen: &Seen) -> Self {
        let &Downgrade { began, arrived, .. } = downgrade;
        let before = |forgetting: &&Forgetting| forgetting.began <= arrived + HANDLED;
        let last = seen.forgettings.iter().rfind(before);
        let (Some(session), Some(last)) = (downgrade.session, last) else {
            return Self::Unnamed;
        };
        // One that began before the server forgot was under way, and nothing could hold it any more.
        if last.first_sign.is_some_and(|sign| sign < began) {
            return Self::AfterASign;
        }
        if arrived > last.ended + NOTICED_WITHIN {
            return Self::Overdue;
        }
        let named = |&(from, until): &(Duration, Duration)| began <= until && arrived >= from;
        match (seen.lost.get(&session), seen.retired.get(&session)) {
            (Some(span), _) if named(span) => Self::Named,
            (None, Some(reason)) if *reason != RetireReason::Lost => Self::NeverAskedAbout,
            _ => Self::Unnamed,
        }
    }
}
