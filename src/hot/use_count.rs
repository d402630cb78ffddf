//! Counts the requests that use a session. No session is deleted while it is in use.

use std::{
    any::Any,
    sync::{
        Arc, MutexGuard, OnceLock, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering, fence},
    },
    time::Duration,
};

use super::memo::Home;
use crate::{
    clock::{Reading, millis},
    lock::Lock,
};

/// The bit of [`InFlight::state`] that is set once the session is retired.
const RETIRED: usize = 1 << (usize::BITS - 1);

/// Counts the requests that use a session. Once the session is retired, no request can start to use it.
///
/// One word holds both the count and the retired bit. With two words, a request could check that the session is good,
/// and the session could be deleted before the request is counted.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    state: AtomicUsize,
    /// Until when dropped requests count as using the session, in milliseconds of monotonic time.
    linger_until: AtomicU64,
    /// The memos of this session (see [`memo`](super::memo)). Allocated with the first one, because many sessions never
    /// get one.
    memories: OnceLock<Box<Memories>>,
}

/// The token of a memo. Each reference to it belongs to a request that uses the session, or to the memo itself.
type Uses = dyn Any + Send + Sync;

#[derive(Debug, Default)]
struct Memories {
    /// The token of each memo, and where that memo is kept. Each reference to a token counts as a request that uses the
    /// session.
    tokens: Lock<Vec<(Weak<Uses>, Home)>>,
    /// How many of the references to tokens belong to memos. They are subtracted, because a memo does not use the
    /// session.
    held: AtomicUsize,
}

impl InFlight {
    /// Adds a request to the count. Returns `false` if the session is retired.
    pub(crate) fn enter(&self) -> bool {
        let one_more = |state| (state & RETIRED == 0).then_some(state + 1);
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more)
            .is_ok()
    }

    /// Removes a request from the count. Returns whether it was the last one of a retired session.
    pub(crate) fn leave(&self) -> bool {
        self.state.fetch_sub(1, Ordering::AcqRel) == RETIRED | 1
    }

    /// Retires the session, so that no request gets it any more. Returns whether it was not retired before.
    pub(crate) fn retire(&self) -> bool {
        self.state.fetch_or(RETIRED, Ordering::AcqRel) & RETIRED == 0
    }

    /// Retires the session if no request uses it.
    pub(crate) fn retire_if_idle(&self, now: Reading) -> bool {
        !self.lingers(now)
            && self.count_of_tokens() == 0
            && self
                .state
                .compare_exchange(0, RETIRED, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.state.load(Ordering::Acquire) & RETIRED != 0
    }

    pub(crate) fn count(&self) -> usize {
        (self.state.load(Ordering::Acquire) & !RETIRED) + self.count_of_tokens()
    }

    /// Counts the requests that hold a token. The number is exact if no memo is made or dropped meanwhile. So it is
    /// exact once the session is retired and all its memos are gone.
    fn count_of_tokens(&self) -> usize {
        let Some(memories) = self.memories.get() else {
            return 0;
        };
        let remembered = memories.held.load(Ordering::Acquire);
        let held: usize = memories
            .tokens()
            .iter()
            .map(|(token, _)| token.strong_count())
            .sum();
        // Pairs with the release when a token is dropped. So all that a request did before it dropped its token is
        // visible from here on.
        fence(Ordering::Acquire);
        held.saturating_sub(remembered)
    }

    pub(crate) fn count_by<T: Any + Send + Sync>(&self, token: &Arc<T>, home: Home) {
        let token: Arc<Uses> = token.clone();
        let mut tokens = self.memories().tokens();
        tokens.retain(|(token, _)| token.strong_count() > 0);
        tokens.push((Arc::downgrade(&token), home));
    }

    /// Returns the places where the session may be remembered.
    pub(crate) fn homes(&self) -> Vec<Home> {
        // Take the lock even if there is no memo yet: another thread may be about to add one. It takes the same lock
        // afterwards, and then sees that the session is retired.
        let tokens = self.memories().tokens();
        tokens.iter().map(|(_, home)| home.clone()).collect()
    }

    /// Records that one more memo holds a token, or one less.
    pub(crate) fn remembered(&self, more: bool) {
        let held = &self.memories().held;
        if more {
            held.fetch_add(1, Ordering::AcqRel);
        } else {
            held.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn memories(&self) -> &Memories {
        self.memories.get_or_init(Box::default)
    }

    /// Returns whether the session can be deleted: no request uses it, and none was dropped so lately that the server
    /// may still be reading it.
    pub(crate) fn is_drained(&self, now: Reading) -> bool {
        // Read the count first: a request sets the linger time before it leaves the count.
        self.count() == 0 && !self.lingers(now)
    }

    /// Returns for how long dropped requests still count.
    pub(crate) fn lingers_for(&self, now: Reading) -> Duration {
        let until = Duration::from_millis(self.linger_until.load(Ordering::Acquire));
        until.saturating_sub(now.monotonic)
    }

    fn lingers(&self, now: Reading) -> bool {
        !self.lingers_for(now).is_zero()
    }

    /// Counts the session as used until `until`, in monotonic time: a request was dropped, and the server may still be
    /// reading it.
    pub(crate) fn linger(&self, until: Duration) {
        self.linger_until.fetch_max(millis(until), Ordering::AcqRel);
    }
}

impl Memories {
    fn tokens(&self) -> MutexGuard<'_, Vec<(Weak<Uses>, Home)>> {
        self.tokens.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Reading = Reading {
        monotonic: Duration::from_secs(5),
        wall: Duration::ZERO,
    };

    #[test]
    fn a_retired_session_lets_nobody_in_and_is_drained_when_the_last_one_leaves() {
        let in_flight = InFlight::default();
        assert!(in_flight.enter() && in_flight.enter());
        assert!(in_flight.retire(), "for the first time");
        assert!(!in_flight.retire(), "only once");
        assert!(!in_flight.enter());
        assert_eq!(in_flight.count(), 2);
        assert!(!in_flight.leave());
        assert!(!in_flight.is_drained(NOW));
        assert!(in_flight.leave(), "the last one");
        assert!(in_flight.is_drained(NOW));
    }

    #[test]
    fn a_session_in_use_is_not_retired_as_idle() {
        let in_flight = InFlight::default();
        assert!(in_flight.enter());
        assert!(!in_flight.retire_if_idle(NOW));
        in_flight.linger(Duration::from_secs(6));
        in_flight.leave();
        assert!(
            !in_flight.retire_if_idle(NOW),
            "a dropped request still counts"
        );
        let later = Reading {
            monotonic: Duration::from_secs(6),
            ..NOW
        };
        assert!(in_flight.retire_if_idle(later));
        assert!(!in_flight.enter());
    }

    #[test]
    fn threads_never_enter_after_the_retirement_was_seen() {
        use std::thread;
        for _ in 0..200 {
            let in_flight = InFlight::default();
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            if in_flight.enter() {
                                // This thread is counted, so the session cannot be drained.
                                assert!(!(in_flight.is_retired() && in_flight.is_drained(NOW)));
                                in_flight.leave();
                            }
                        }
                    });
                }
                in_flight.retire();
            });
            assert!(!in_flight.enter());
            assert_eq!(in_flight.count(), 0);
        }
    }
}
