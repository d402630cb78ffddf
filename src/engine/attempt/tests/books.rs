//! Books of what one attempt still has to do, kept beside it by the tests. They check three promises:
//!
//! - A session adopted from the fleet is used, given up or let go in the end.
//! - An attempt that makes a session call in place of `GET /v1/health` reports the result.
//! - An attempt only succeeds with a session that the server is known to have.

use std::collections::BTreeSet;

use super::{came::Came, world::Happening, *};

#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    /// Sessions adopted from the fleet, and neither used nor left yet.
    taken: BTreeSet<u64>,
    pub(super) made: Option<u64>,
    stands_in: bool,
    /// When the attempt last asked, in place of `GET /v1/health`, what became of the session.
    asked: Option<Duration>,
    /// The session that the last answer called alive.
    good: Option<u64>,
    /// The session that the last answer called lost, until others learn of the loss.
    dead: Option<u64>,
}

impl Books {
    /// Notes an input that came in during `step`.
    pub(super) fn note(&mut self, step: &Step<u64>, came: Came, fresh: u64, now: Duration) {
        match came {
            Came::AskAbout | Came::AskFor | Came::Take => drop(self.taken.insert(fresh)),
            Came::Made => self.made = Some(fresh),
            // If the fleet refuses the session, the code that publishes it retires it.
            Came::Refused => self.made = None,
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
                // An answer must not cover a sign of trouble that came after its question.
                let is_before = self.asked.is_some_and(|asked| looked.monotonic <= asked);
                assert!(is_before, "I1: it covers later signs: {trail:?}");
            }
            Effect::CheckFailed { .. } | Effect::RenewalFailed { .. } => {}
        }
    }

    /// Checks the books after each step.
    pub(super) fn balance(
        &self,
        attempt: &Attempt<u64>,
        is_over: impl Fn(&u64) -> bool,
        trail: &[Happening],
    ) {
        // In `Telling`, others learn of the loss before the session is given up.
        let is_told = self.dead.is_none() || matches!(attempt.step(), Step::Telling(..));
        assert!(is_told, "I1: a loss that nobody is told of: {trail:?}");
        let waits_in_place = matches!(
            attempt.step(),
            Step::AskingOldest(_)
                | Step::Telling(..)
                | Step::Queued(_)
                | Step::Checking(_)
                // The driver drops this attempt's task, and with it the attempt's right to ask.
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

    /// Checks the books at the end of an attempt that ended with `session`.
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
