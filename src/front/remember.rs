//! Remembers the decision about one request for later requests of the same kind.

use std::sync::Arc;

use http::HeaderValue;

use super::{lease::Lease, token::Token};
use crate::{
    clock::Span,
    headers::Credentials,
    hot::memo::{self, Decision},
    model::identity::Identity,
};

/// What one layer remembers.
pub(crate) type Memory = memo::Memory<Token>;

impl Lease {
    /// Remembers that requests with these credentials get this session, if the credentials were seen before. `identity`
    /// has the key and the defaults on which the decision was based. `key` is the API key that was put in with the
    /// session, if any.
    #[cold]
    pub(crate) fn remember(
        &self,
        memory: &Memory,
        credentials: Credentials<'_>,
        identity: &Arc<Identity>,
        key: Option<&HeaderValue>,
    ) {
        let (session, manager) = (self.live(), self.manager());
        let core = manager.core();
        let decision = Decision {
            session,
            credentials,
            key,
        };
        let may_repeat = || core.may_repeat(session);
        memory.remember(&core.memos, &decision, may_repeat, |home| {
            let now = core.now();
            let young = Span::from(now, session.life.left(now));
            let token = Token::remembered(session, manager, home, young);
            // The key or the defaults of the manager may have been changed since the decision. It must not be repeated
            // for requests that start after the change.
            let holds = core.is_in_order(session) && Arc::ptr_eq(identity, &manager.identity());
            holds.then_some(token)
        });
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use http::HeaderMap;

    use super::*;
    use crate::{
        SessionDefaults, SessionLayer, SessionManager,
        api::{Chain, Transport},
        hot::memo::SPAN,
        testing::{FakeSipher, TestClock, Tier},
    };

    fn manager() -> SessionManager {
        let sipher = FakeSipher::new();
        SessionManager::builder()
            .api_key(sipher.api_key(Tier::Pro))
            .transport(Transport::new(sipher))
            .clock(TestClock::new())
            .build()
            .unwrap()
    }

    async fn lease(manager: &SessionManager, identity: &Identity) -> Lease {
        let partition = identity.partition().unwrap().unwrap();
        manager.clone().lease(partition).await.unwrap()
    }

    /// Returns whether a decision that is based on this identity is repeated.
    fn repeats(memory: &Memory, lease: &Lease, identity: &Arc<Identity>) -> bool {
        for _ in 0..2 {
            lease.remember(memory, Credentials::NONE, identity, None);
        }
        let now = || lease.manager().core().recent();
        memory.recall(&mut HeaderMap::new(), now).is_some()
    }

    /// After a change, other requests may still use a session with the older defaults. A request without defaults of
    /// its own must not get it.
    #[tokio::test(start_paused = true)]
    async fn what_was_decided_before_a_change_is_not_remembered_after_it() {
        let (manager, memory) = (manager(), Memory::new());
        let older = manager.identity();
        assert!(repeats(&memory, &lease(&manager, &older).await, &older));
        let sui = SessionDefaults::new().chain(Chain::Sui);
        manager.replace_defaults(sui).await.unwrap();
        assert!(!repeats(&memory, &lease(&manager, &older).await, &older));
        let newer = manager.identity();
        assert!(repeats(&memory, &lease(&manager, &newer).await, &newer));
    }

    /// A session may end, or become suspect, after a request has got it and before the decision is remembered.
    #[tokio::test(start_paused = true)]
    async fn a_session_that_has_ended_or_is_suspect_meanwhile_is_not_remembered() {
        let (manager, memory) = (manager(), Memory::new());
        let identity = manager.identity();
        let suspect: fn(&SessionManager) = |manager| {
            manager.core().suspect(true);
        };
        let invalidate: fn(&SessionManager) = |manager| assert!(manager.invalidate(1));
        for end in [suspect, invalidate] {
            let lease = lease(&manager, &identity).await;
            end(&manager);
            assert!(!repeats(&memory, &lease, &identity));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_decision_is_repeated_for_a_moment_and_then_made_anew() {
        let (manager, memory) = (manager(), Memory::new());
        let identity = manager.identity();
        let lease = lease(&manager, &identity).await;
        let is_repeated = || {
            let now = || manager.core().recent();
            memory.recall(&mut HeaderMap::new(), now).is_some()
        };
        assert!(repeats(&memory, &lease, &identity));
        for _ in 0..3 {
            tokio::time::advance(SPAN.mul_f64(0.8)).await;
            assert!(is_repeated());
            tokio::time::advance(SPAN.mul_f64(0.3)).await;
            assert!(!is_repeated());
            lease.remember(&memory, Credentials::NONE, &identity, None);
            assert!(is_repeated());
        }
    }

    /// A session keeps a list of the places (homes) of its memos. The list must not grow if the session is remembered
    /// and forgotten many times.
    #[tokio::test(start_paused = true)]
    async fn a_session_keeps_no_homes_of_what_is_not_remembered_any_more() {
        let (manager, memory) = (manager(), Memory::new());
        let identity = manager.identity();
        let lease = lease(&manager, &identity).await;
        for _ in 0..10 {
            assert!(repeats(&memory, &lease, &identity));
            manager.core().memos.forget_all();
        }
        assert_eq!(lease.live().in_flight.homes().len(), 1);
    }

    /// The layer holds the last handle, and dropping that handle takes the gate's lock. A thread that holds the gate's
    /// lock may take the locks of the layer's memory. So the handle must not be dropped under those locks: the two
    /// threads would block each other.
    #[tokio::test(start_paused = true)]
    async fn the_last_handle_is_not_dropped_under_the_locks_of_a_memory() {
        let manager = manager();
        let (layer, identity) = (SessionLayer::new(manager.clone()), manager.identity());
        let lease = lease(&manager, &identity).await;
        assert!(repeats(layer.memory(), &lease, &identity));
        let (core, handles) = (manager.core().clone(), Arc::downgrade(&manager.0));
        drop((lease, manager));
        let gate = core.gate();
        let dropped = thread::spawn(move || drop(layer));
        // From here on, the thread waits for the gate.
        while handles.strong_count() > 0 {
            thread::yield_now();
        }
        let (forgotten, is_forgotten) = mpsc::channel();
        let forgetful = core.clone();
        thread::spawn(move || {
            forgetful.memos.forget_all();
            forgotten.send(())
        });
        let waited = is_forgotten.recv_timeout(Duration::from_secs(10));
        drop(gate);
        dropped.join().unwrap();
        assert!(waited.is_ok(), "whoever holds the gate may forget");
    }
}
