//! What the fleet says: another process has created a session, is creating one, or leaves it to this attempt.

use super::{Attempt, Context, Fenced, Outcome, Queueing, Step};
use crate::model::budget::Purpose;

/// How an attempt goes on after it has asked the fleet.
#[derive(Clone, Debug)]
pub(crate) enum Share<S> {
    /// This attempt is to create the session.
    Create,
    /// This attempt is to check this session, which another process has created.
    Ask {
        session: S,
        /// Whether the store may be wrong about the session, so that only `GET /v1/sessions/{id}` can tell.
        by_itself: bool,
    },
    /// The fleet's answer is the outcome.
    Done(Outcome<S>),
    /// Another create has taken this attempt's place.
    Fenced,
}

impl<S: Clone> Attempt<S> {
    pub(super) fn shared<W: Clone>(
        &mut self,
        share: Share<S>,
        cx: &mut Context<'_, W, S>,
    ) -> Step<S> {
        match share {
            Share::Create if self.tries == 0 => self.queue_first(cx),
            Share::Create => {
                (self.calling, self.place) = (true, Queueing::Over);
                Step::Calling
            }
            Share::Ask { session, by_itself } => {
                (self.adopted, self.metered) = (true, by_itself);
                self.suspect = Some(session.clone());
                match cx.gate.check_holds(cx.partition, Purpose::Check, cx.now) {
                    Err(error) => self.settled(Err(error), cx),
                    Ok(()) if self.tries == 0 => self.queue_first(cx),
                    Ok(()) => {
                        // The other process may have used up this attempt's time for its create.
                        self.prolong(cx);
                        self.find_out(session, cx)
                    }
                }
            }
            Share::Done(outcome) => {
                self.adopted = outcome.is_ok();
                self.settled(outcome, cx)
            }
            Share::Fenced => Step::Ended(Err(Fenced)),
        }
    }

    /// Takes the fleet's outcome. An attempt that has made no call yet does not retry.
    fn settled<W: Clone>(&mut self, outcome: Outcome<S>, cx: &mut Context<'_, W, S>) -> Step<S> {
        if self.tries == 0 {
            return Step::Ended(Ok(outcome));
        }
        self.follows(outcome, cx)
    }
}
