//! What another process of the fleet has made, or makes.

use super::{Attempt, Context, Fenced, Outcome, Queueing, Step};
use crate::model::budget::Purpose;

/// How an attempt goes on after it has asked the fleet.
#[derive(Clone, Debug)]
pub(crate) enum Share<S> {
    /// It is to make the call.
    Create,
    /// It is to ask the server about this session, which another has made.
    Ask {
        session: S,
        /// The store may be wrong about it, so that only the session itself can tell.
        by_itself: bool,
    },
    /// It has its outcome.
    Done(Outcome<S>),
    /// Another create has taken its place.
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
                        // Another process has had time to make it.
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

    /// The fleet has decided it. Before its first call, an attempt does not try again.
    fn settled<W: Clone>(&mut self, outcome: Outcome<S>, cx: &mut Context<'_, W, S>) -> Step<S> {
        if self.tries == 0 {
            return Step::Ended(Ok(outcome));
        }
        self.follows(outcome, cx)
    }
}
