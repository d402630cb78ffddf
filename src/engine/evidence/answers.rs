//! Decides what follows from the head of an answer: whether it proves the server's process, or is a reason to ask the
//! server.

use super::{
    Evidence, Reaction,
    window::{Exchange, Seen},
};
use crate::{api::Stamp, clock::Reading, model::evidence::Cause};

/// The answer to a request that carries no session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overheard {
    pub(crate) stamp: Stamp,
    /// Whether the path is public, so that a cache may have answered.
    pub(crate) is_public: bool,
}

impl Evidence {
    /// Examines the answer to a create. `is_first` says that there is no other session. Then the process that answered
    /// is the right one, whatever was seen before.
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
        if stamp.is_some() && exchange.is_held_up() {
            // The answer took so long that its window is not confirmed. Later answers in that window prove nothing
            // until a question is answered, so ask one.
            return self.weigh(Cause::Hint, exchange.received);
        }
        Reaction::Nothing
    }

    /// Examines an answer of Sipher's application. Returns whether it proves that the server's process is still the
    /// same, and what follows.
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
                let (sent, received) = self.strange.unwrap_or_default();
                self.strange = Some((
                    sent.max(exchange.sent.monotonic),
                    received.max(exchange.received.monotonic),
                ));
                Cause::Sign
            }
            Seen::New { beside: false } | Seen::Vague => Cause::Hint,
        };
        (false, self.weigh(cause, exchange.received))
    }

    /// Examines an answer to a request without a session. It takes one call of a rate-limit window as well. If such
    /// answers were not noted, the windows of two processes could look like one.
    pub(crate) fn overhear(&mut self, answer: Overheard, exchange: Exchange) -> Reaction {
        let Overheard { stamp, is_public } = answer;
        // While no session was created, there is nothing to prove.
        if self.proven.is_none() {
            return Reaction::Nothing;
        }
        if !is_public {
            return self.see(stamp, exchange).1;
        }
        // A cache may have kept the answer without an `Age` header. So it proves nothing, and a new window is only a
        // hint.
        match self.window(stamp, exchange) {
            Seen::Same | Seen::Beside | Seen::Pending => Reaction::Nothing,
            Seen::New { .. } | Seen::Vague => self.weigh(Cause::Hint, exchange.received),
        }
    }

    fn window(&mut self, stamp: Stamp, exchange: Exchange) -> Seen {
        self.forget_windows_after_sleep(exchange.received);
        self.windows.see(stamp, exchange)
    }

    /// Forgets the windows if this machine has slept. Windows are judged by the monotonic clock, which may have stood
    /// still during the sleep, while the server's windows went on.
    pub(super) fn forget_windows_after_sleep(&mut self, now: Reading) {
        let has_jumped = |proven| now.has_jumped_since(proven);
        if self.proven.is_some_and(has_jumped) {
            self.windows.clear();
        }
    }

    /// Examines the answer to a check that found a session which is not the oldest one. The process that answered has
    /// this session, so a new window is only a hint. Example: with several processes behind one address, each check may
    /// show the window of another process, and must not hold requests each time.
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

    /// Records an answer that certainly comes from the right process: it was asked for the oldest session, and has it.
    pub(crate) fn knows(&mut self, stamp: Stamp, exchange: Exchange) {
        let _ = self.windows.see(stamp, exchange);
        self.windows.is_of_the_session(stamp, exchange);
        // Only windows from before `sent` are confirmed. The server may have written the answer at once and restarted
        // while it was delayed.
        self.confirm(exchange.sent);
        self.proves(exchange.sent);
    }
}
