//! Judges a dead id that reached the server: is it a fault of the layer?

use std::time::Duration;

use sipher_session::{Fingerprint, RetireReason};

use crate::{VERIFY_EVERY, record::Seen};

/// The longest time until every session in use has been checked, with all delays of a check.
pub(crate) const NOTICED_WITHIN: Duration = VERIFY_EVERY.saturating_add(Duration::from_secs(5));
/// The longest time between the arrival of a call and the server's look-up of its session.
const HANDLED: Duration = Duration::from_millis(100);

/// A moment at which the server forgot all sessions.
pub(crate) struct Forgetting {
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
    /// When a caller or the manager first saw a sign that the sessions were gone.
    pub(crate) first_sign: Option<Duration>,
}

/// A call that reached the server with a dead id.
pub(crate) struct Downgrade {
    /// `None` if the header is not a session id at all.
    pub(crate) session: Option<Fingerprint>,
    /// When the caller began the call, before the layer saw it.
    pub(crate) began: Duration,
    pub(crate) arrived: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A fault: the call began after a sign that the server had forgotten its sessions.
    AfterASign,
    /// A fault: the check that should have found the loss was overdue.
    Overdue,
    /// Allowed: `Event::Lost` named the session, and the call was in flight in the time that the event names.
    Named,
    /// Allowed: the session was retired for another reason before it was checked.
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
        // A call that began before the sign was already in flight, and nothing could stop it.
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
