//! What is known of a session when an answer to a request that bore it is there.

use crate::{
    driver::core::Core,
    hot::session::LiveSession,
    model::{
        inlining::Inlined,
        proof::{Doubt, Proof},
    },
};

impl Proof {
    /// `proves` says that its own answer has proved the process.
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

    /// The same with what became of the defaults in the body.
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

    /// It was sent without a session, by somebody's word.
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
