//! What the fleet's store says to an attempt: another process has created a session, or this attempt is to create one.

use super::{Attempt, Context, Fenced, Outcome, Queueing, Step};
use crate::model::budget::Purpose;

/// How an attempt goes on after the driver has asked the fleet's store. Without a fleet, it is always `Create`.
#[derive(Clone, Debug)]
pub(crate) enum Share<S> {
    /// This attempt is to create the session.
    Create,
    /// This attempt is to check this session, which another process has created.
    Ask {
        session: S,
        /// Whether the session has to be checked with `GET /v1/sessions/{id}`, because the store may be wrong about it.
        by_itself: bool,
    },
    /// The attempt ends with this: another process's session, or an error.
    Done(Outcome<S>),
    /// Another create has taken this attempt's place, so it ends.
    Fenced,
}

impl<S: Clone> Attempt<S> {
    /// Goes on after the fleet's store was asked.
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
                        // This attempt may have spent its time waiting for the other process's create, so give it time
                        // for the check.
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

    /// Handles an outcome that comes from the fleet. An attempt that has made no call yet ends with it, and does not
    /// retry after an error.
    fn settled<W: Clone>(&mut self, outcome: Outcome<S>, cx: &mut Context<'_, W, S>) -> Step<S> {
        if self.tries == 0 {
            return Step::Ended(Ok(outcome));
        }
        self.follows(outcome, cx)
    }
}
