//! Builds the proof of a session when an answer to its request has arrived.

use crate::{
    driver::core::Core,
    hot::session::LiveSession,
    model::{
        inlining::Inlined,
        proof::{Doubt, Proof},
    },
};

impl Proof {
    /// Returns the proof for the response to a request with this session. `proves` says whether the answer itself
    /// proves that the process which has the session is still running.
    pub(crate) fn of(session: &LiveSession, core: &Core, proves: bool) -> Self {
        let now = core.now();
        let left = session.life.left(now);
        let doubt = if session.is_leaked() {
            Some(Doubt::Leaked)
        } else if session.is_lost() {
            Some(Doubt::Lost)
        } else if left.is_zero() {
            Some(Doubt::Late)
        } else if session.is_suspect(core.suspicion.signs()) {
            Some(Doubt::Suspect)
        } else {
            (!proves).then_some(Doubt::Unproven)
        };
        Self::Session {
            session: session.reference(),
            age: now.since(session.life.born()),
            left,
            inlined: Inlined::Off,
            doubt,
        }
    }

    /// Adds what became of the defaults in the body. If the body names all of them, the answer does not depend on the
    /// session, so only a leak remains as a doubt.
    pub(crate) fn with(self, became: Inlined) -> Self {
        match self {
            Self::Session {
                session,
                age,
                left,
                doubt,
                ..
            } => Self::Session {
                session,
                age,
                left,
                inlined: became,
                doubt: doubt.filter(|doubt| *doubt == Doubt::Leaked || !became.is_covered()),
            },
            other => other,
        }
    }

    pub(crate) fn is_leaked(&self) -> bool {
        matches!(
            self,
            Self::Inline { doubt: Some(_), .. }
                | Self::Session {
                    doubt: Some(Doubt::Leaked),
                    ..
                }
        )
    }

    /// Returns the proof of a request that was sent without a session, because the caller or `on_no_session` allowed
    /// it.
    pub(crate) fn without(became: Inlined) -> Self {
        match became {
            Inlined::Not { reason } => Self::Neither { reason },
            _ => Self::Without,
        }
    }

    /// Returns what became of the defaults in the body.
    #[must_use]
    pub fn inlined(&self) -> Inlined {
        match *self {
            Self::Session { inlined, .. }
            | Self::Confirmed { inlined, .. }
            | Self::Inline { inlined, .. } => inlined,
            Self::Neither { reason } => reason.into(),
            Self::OwnSession | Self::Without => Inlined::Off,
        }
    }
}
