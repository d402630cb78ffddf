//! What follows from the head of an answer.

use super::{
    Evidence, Reaction,
    window::{Exchange, Seen},
};
use crate::{api::Stamp, clock::Reading, model::evidence::Cause};

/// The answer to a request that bears no session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overheard {
    pub(crate) stamp: Stamp,
    /// A cache may answer such a request.
    pub(crate) is_public: bool,
}

impl Evidence {
    /// A session was created. Where there is no other, its process is the one that counts.
    pub(crate) fn created(
        &mut self,
        stamp: Option<Stamp>,
        exchange: Exchange,
        is_first: bool,
    ) -> Reaction {
        self.call_answered(exchange.sent);
        let is_first = is_first && self.windows.is_empty(exchange.sent.monotonic);
        match stamp {
            Some(stamp) if !is_first => return self.see(stamp, exchange).1,
            Some(stamp) => self.windows.begin_with(stamp, exchange),
            None => {}
        }
        if is_first {
            self.proven = Some(exchange.sent);
            self.since = Some(exchange.sent);
        }
        Reaction::Nothing
    }

    /// Looks at an answer of the application's; returns whether it proves the process.
    pub(crate) fn see(&mut self, stamp: Stamp, exchange: Exchange) -> (bool, Reaction) {
        self.call_answered(exchange.sent);
        let cause = match self.window(stamp, exchange) {
            Seen::Same => {
                self.proves(exchange.sent);
                return (true, Reaction::Nothing);
            }
            Seen::Beside => {
                self.proves(exchange.sent);
                return (false, Reaction::Nothing);
            }
            Seen::Pending => return (false, Reaction::Nothing),
            Seen::New { beside: true } => {
                self.strange = Some(exchange.sent.monotonic);
                Cause::Sign
            }
            Seen::New { beside: false } | Seen::Vague => Cause::Hint,
        };
        (false, self.weigh(cause, exchange.received))
    }

    /// Looks at an answer that says nothing of a session. Its place in a window has to be known all the same: unseen, the
    /// windows of two processes could pass for one.
    pub(crate) fn overhear(&mut self, answer: Overheard, exchange: Exchange) -> Reaction {
        let Overheard { stamp, is_public } = answer;
        // As long as no session was made, there is nothing to prove.
        if self.proven.is_none() {
            return Reaction::Nothing;
        }
        if !is_public {
            return self.see(stamp, exchange).1;
        }
        // A cache that does not say so may have kept it: it is no proof, and holds nobody.
        match self.window(stamp, exchange) {
            Seen::Same | Seen::Beside | Seen::Pending => Reaction::Nothing,
            Seen::New { .. } | Seen::Vague => self.weigh(Cause::Hint, exchange.received),
        }
    }

    fn window(&mut self, stamp: Stamp, exchange: Exchange) -> Seen {
        self.forget_windows_after_sleep(exchange.received);
        self.windows.see(stamp, exchange)
    }

    /// While the machine slept, the server's windows went on, and the monotonic clock that they are judged by may have stood.
    pub(super) fn forget_windows_after_sleep(&mut self, now: Reading) {
        let has_jumped = |proven| now.has_jumped_since(proven);
        if self.proven.is_some_and(has_jumped) {
            self.windows.clear();
        }
    }

    /// A session that is not the oldest was asked for, and is there: whichever process says so knows it, so that a new window holds
    /// nobody. Behind several processes, each such call may show another one.
    pub(crate) fn found(&mut self, stamp: Option<Stamp>, exchange: Exchange) -> Reaction {
        let seen = stamp.map(|stamp| self.window(stamp, exchange));
        let reaction = match seen {
            Some(Seen::Same | Seen::Beside) => {
                self.proves(exchange.sent);
                Reaction::Nothing
            }
            None | Some(Seen::Pending) => Reaction::Nothing,
            Some(Seen::New { .. } | Seen::Vague) => self.weigh(Cause::Hint, exchange.received),
        };
        self.goes_on(exchange.received);
        reaction
    }

    /// The window of an answer that comes from the right process for certain.
    pub(crate) fn knows(&mut self, stamp: Stamp, exchange: Exchange) {
        let _ = self.windows.see(stamp, exchange);
        self.windows.is_of_the_session(stamp, exchange);
        // No later: it may have been written as soon as it was asked for, and have taken its time.
        self.windows.confirm(exchange.sent.monotonic);
        self.strange = None;
        self.proves(exchange.sent);
    }
}
