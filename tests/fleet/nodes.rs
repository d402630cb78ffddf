//! A store on several nodes, each with a clock of its own.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sipher_session::{
    SessionManager,
    store::{
        Changes, Claim, Found, Kept, Left, Member, MemoryStore, Record, SessionStore, Slot,
        StoreFuture,
    },
    testing::{Fault, Target, TestClock, What},
};
use tokio::time::Instant;

use crate::support::{Setup, pass};

/// Each slot is on a node of its own. The clock of each node is ahead of that of the node before.
#[derive(Clone, Debug)]
struct Nodes {
    store: MemoryStore,
    slots: Arc<Mutex<Vec<Slot>>>,
    apart: Duration,
}

impl Nodes {
    fn new(apart: Duration) -> Self {
        let store = MemoryStore::new(TestClock::new());
        let slots = Arc::default();
        Self {
            store,
            slots,
            apart,
        }
    }

    fn ahead(&self, slot: Slot) -> Duration {
        let mut slots = self.slots.lock().unwrap();
        if !slots.contains(&slot) {
            slots.push(slot);
        }
        let nth = slots.iter().position(|it| *it == slot).unwrap();
        self.apart * u32::try_from(nth).unwrap()
    }

    fn there(&self, slot: Slot, found: Found) -> Found {
        let now = found.now + self.ahead(slot);
        Found { now, ..found }
    }
}

impl SessionStore for Nodes {
    fn get(&self, slot: Slot) -> StoreFuture<'_, Found> {
        Box::pin(async move { Ok(self.there(slot, self.store.get(slot).await?)) })
    }

    fn claim(&self, slot: Slot, by: Member, after: u64, lease: Duration) -> StoreFuture<'_, Claim> {
        Box::pin(async move {
            Ok(match self.store.claim(slot, by, after, lease).await? {
                Claim::Granted { generation, now } => Claim::Granted {
                    generation,
                    now: now + self.ahead(slot),
                },
                Claim::Published(found) => Claim::Published(self.there(slot, found)),
                held @ Claim::Held { .. } => held,
            })
        })
    }

    fn publish(
        &self,
        slot: Slot,
        by: Member,
        record: Record,
        lease: Duration,
    ) -> StoreFuture<'_, bool> {
        self.store.publish(slot, by, record, lease)
    }

    fn release(
        &self,
        slot: Slot,
        by: Member,
        generation: u64,
        pause: Duration,
    ) -> StoreFuture<'_, ()> {
        self.store.release(slot, by, generation, pause)
    }

    fn keep(
        &self,
        slot: Slot,
        by: Member,
        record: Record,
        lease: Duration,
    ) -> StoreFuture<'_, Kept> {
        self.store.keep(slot, by, record, lease)
    }

    fn leave(&self, slot: Slot, by: Member, generation: u64) -> StoreFuture<'_, Left> {
        self.store.leave(slot, by, generation)
    }

    fn revoke(&self, slot: Slot, generation: u64) -> StoreFuture<'_, ()> {
        self.store.revoke(slot, generation)
    }

    fn changes(&self) -> Changes {
        self.store.changes()
    }
}

/// Two processes that share a session. All windows are known, and from now on health says nothing.
async fn two(apart: Duration) -> (Setup, [SessionManager; 2]) {
    let (setup, store) = (Setup::apart(), Nodes::new(apart));
    let two = [1, 2].map(|seed| {
        let builder = setup.builder().seed(seed).store(store.clone());
        builder.build().unwrap()
    });
    for _ in 0..3 {
        for manager in &two {
            setup.call(manager).await.unwrap();
        }
        pass(12.0).await;
    }
    setup.sipher.set_latency(Duration::from_millis(50));
    setup.silence_health();
    (setup, two)
}

/// One process asks for the session. Then the server is restarted, and the first answer shows that to the other process.
#[tokio::test(start_paused = true)]
async fn a_session_call_from_before_the_sign_does_not_count_however_the_nodes_clocks_differ() {
    for apart in [0, 200, 1_000, 3_000].map(Duration::from_millis) {
        let (setup, [one, other]) = two(apart).await;
        let gateway = Fault::new(What::Html(502)).on(Target::Calls);
        setup.sipher.fault(gateway);
        drop(setup.call(&one).await);
        setup.call(&one).await.unwrap();
        assert_eq!(setup.gets(), 1);
        setup.sipher.restart();
        let (restart, mut last_wrong) = (Instant::now(), Duration::ZERO);
        while restart.elapsed() < Duration::from_secs(120) {
            let sent = restart.elapsed();
            setup.call(&other).await.unwrap();
            if setup.last_chain().as_deref() != Some("near") {
                last_wrong = sent;
            }
            pass(0.5).await;
        }
        assert!(
            last_wrong < Duration::from_secs(2),
            "{apart:?}: {last_wrong:?}"
        );
    }
}
