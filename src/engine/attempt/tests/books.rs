//! What an attempt owes, kept beside it: what it takes up is used, given up or let go; whoever asks in place of the free question says
//! what came of it; and it ends well only with a session that the server is known to have.

use std::collections::BTreeSet;

use super::{came::Came, world::Happening, *};

#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    /// Taken up from the fleet, and neither used nor left.
    taken: BTreeSet<u64>,
    pub(super) made: Option<u64>,
    stands_in: bool,
    /// When it was last asked what became of the session, in place of the free question.
    asked: Option<Duration>,
    /// The last answer says that it is there.
    good: Option<u64>,
    /// The last answer says that it is not, and nobody has been told.
    dead: Option<u64>,
}

impl Books {
    /// What has come in while this was waited for.
    pub(super) fn note(&mut self, step: &Step<u64>, came: Came, fresh: u64, now: Duration) {
        match came {
            Came::AskAbout | Came::AskFor | Came::Take => drop(self.taken.insert(fresh)),
            Came::Made => self.made = Some(fresh),
            Came::Refused => self.made = None, // whoever publishes retires it
            Came::UnclearInPlace => (self.stands_in, self.asked) = (true, Some(now)),
            Came::Told | Came::AllKnown => self.stands_in = false,
            _ => {}
        }
        match (step, came) {
            (_, Came::Take) => self.good = Some(fresh),
            (Step::Publishing(session), Came::Accepted) => self.good = Some(*session),
            (Step::Asking(session), Came::Alive) | (Step::Checking(session), Came::Known) => {
                self.good = Some(*session);
            }
            (Step::Asking(session) | Step::Checking(session), came) if came.is_loss() => {
                self.dead = Some(*session);
            }
            _ => {}
        }
    }

    pub(super) fn carried_out(&mut self, effect: &Effect<u64>, trail: &[Happening]) {
        match effect {
            Effect::GiveUp { session, .. } => {
                assert_eq!(
                    self.dead.take(),
                    Some(*session),
                    "it is not lost: {trail:?}"
                );
                self.taken.remove(session);
            }
            Effect::LetGo(session) => {
                assert!(self.taken.remove(session), "it was not taken up: {trail:?}");
            }
            Effect::NotMetered => {
                assert!(self.stands_in, "it does not stand in: {trail:?}");
                self.stands_in = false;
            }
            Effect::MeteredInVain((_, looked)) => {
                assert!(self.stands_in, "it does not stand in: {trail:?}");
                self.stands_in = false;
                // A sign of after that is not covered by what was asked before.
                let is_before = self.asked.is_some_and(|asked| looked.monotonic <= asked);
                assert!(is_before, "I1: it covers later signs: {trail:?}");
            }
            Effect::CheckFailed { .. } | Effect::RenewalFailed { .. } => {}
        }
    }

    /// After each step.
    pub(super) fn balance(
        &self,
        attempt: &Attempt<u64>,
        is_over: impl Fn(&u64) -> bool,
        trail: &[Happening],
    ) {
        // Others are told first.
        let is_told = self.dead.is_none() || matches!(attempt.step(), Step::Telling(..));
        assert!(is_told, "I1: a loss that nobody is told of: {trail:?}");
        let waits_in_place = matches!(
            attempt.step(),
            Step::AskingOldest(_)
                | Step::Telling(..)
                | Step::Queued(_)
                | Step::Checking(_)
                // Its task goes, and that gives it up.
                | Step::Ended(Err(Fenced))
        );
        assert!(
            !self.stands_in || waits_in_place,
            "nobody else may ask: {trail:?}"
        );
        if let Step::Ended(Ok(Ok(session))) = attempt.step() {
            let is_good = self.good == Some(*session) || is_over(session);
            assert!(is_good, "I1: {session} is not known to be there: {trail:?}");
        }
    }

    /// It has ended, with this session.
    pub(super) fn close(mut self, session: Option<&u64>, trail: &[Happening]) {
        if let Some(session) = session {
            self.taken.remove(session);
            self.made.take_if(|made| made == session);
        }
        assert!(
            self.taken.is_empty(),
            "I3: {:?} left: {trail:?}",
            self.taken
        );
        assert_eq!(self.made, None, "I3: {trail:?}");
        assert!(!self.stands_in, "nobody else may ask: {trail:?}");
    }
}
