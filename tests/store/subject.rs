//! A store under test. Its time can be moved forward, and it can be made to forget.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sipher_session::{
    store::{Claim, Kept, Left, Member, MemoryStore, Record, RedisStore, SessionStore, Slot},
    testing::TestClock,
};

use crate::server::Server;

pub const MINUTE: Duration = Duration::from_secs(60);

pub struct Subject {
    pub store: Arc<dyn SessionStore>,
    pub slot: Slot,
    behind: Behind,
}

enum Behind {
    Memory(MemoryStore, TestClock),
    Redis(Server),
}

/// Makes every key expire earlier by this time, as if so much time had passed.
const TURN: &str = "
    local by = tonumber(ARGV[1])
    for _, key in ipairs(redis.call('KEYS', '*')) do
        if redis.call('TYPE', key).ok == 'zset' then
            local entries = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
            for i = 1, #entries, 2 do
                local score = tonumber(entries[i + 1])
                if score > 0 then
                    redis.call('ZADD', key, string.format('%.0f', math.max(score - by, 1)), entries[i])
                end
            end
        end
        redis.call('PEXPIRE', key, string.format('%.0f', redis.call('PTTL', key) - by))
    end";

impl Subject {
    pub fn memory() -> Self {
        let clock = TestClock::new();
        let store = MemoryStore::new(clock.clone());
        Self {
            store: Arc::new(store.clone()),
            slot: slot(),
            behind: Behind::Memory(store, clock),
        }
    }

    pub fn redis() -> Option<Self> {
        Server::start().map(Self::of)
    }

    pub fn of(server: Server) -> Self {
        let store = server.store();
        Self::with(server, store)
    }

    pub fn with(server: Server, store: RedisStore) -> Self {
        Self {
            store: Arc::new(store),
            slot: slot(),
            behind: Behind::Redis(server),
        }
    }

    pub fn server(&self) -> &Server {
        match &self.behind {
            Behind::Redis(server) => server,
            Behind::Memory(..) => panic!("there is none"),
        }
    }

    /// Kills the server, and starts it again with the data on its disk.
    pub fn restart(&mut self) {
        let Behind::Redis(server) = &mut self.behind else {
            panic!("there is none");
        };
        server.kill();
        server.start_again();
    }

    /// Asks the store until it answers.
    pub async fn until_it_works(&self) {
        while self.store.get(self.slot).await.is_err() {
            tokio::task::yield_now().await;
        }
    }

    pub fn pass(&self, time: Duration) {
        match &self.behind {
            Behind::Memory(_, clock) => clock.suspend(time),
            Behind::Redis(server) => {
                server.ask::<()>(&["EVAL", TURN, "0", &time.as_millis().to_string()]);
            }
        }
    }

    pub fn forget_everything(&self) {
        match &self.behind {
            Behind::Memory(store, _) => store.clear(),
            Behind::Redis(server) => server.ask::<()>(&["FLUSHALL"]),
        }
    }

    pub async fn granted(&self, member: Member, after: u64) -> u64 {
        let claim = self.store.claim(self.slot, member, after, MINUTE).await;
        match claim.unwrap() {
            Claim::Granted { generation, .. } => generation,
            other => panic!("not granted: {other:?}"),
        }
    }

    /// Claims with a lease of a minute, and publishes a record for an hour.
    pub async fn published(&self, member: Member) -> Record {
        let generation = self
            .granted(member, self.current().await.unwrap_or(0))
            .await;
        let record = record(generation);
        let accepted = self
            .store
            .publish(self.slot, member, record.clone(), MINUTE);
        assert!(accepted.await.unwrap());
        record
    }

    pub async fn keep(&self, member: Member, record: &Record) -> Kept {
        let kept = self.store.keep(self.slot, member, record.clone(), MINUTE);
        kept.await.unwrap()
    }

    pub async fn leave(&self, number: u8, record: &Record) -> Left {
        let left = self
            .store
            .leave(self.slot, member(number), record.generation);
        left.await.unwrap()
    }

    /// Returns the generation of the current record.
    pub async fn current(&self) -> Option<u64> {
        let found = self.store.get(self.slot).await.unwrap();
        found.record.map(|record| record.generation)
    }
}

/// Runs a test on each store.
pub async fn on_each(test: impl AsyncFn(Subject)) {
    test(Subject::memory()).await;
    if let Some(subject) = Subject::redis() {
        test(subject).await;
    }
}

pub fn slot() -> Slot {
    Slot::parse("00112233445566778899aabbccddeeff").unwrap()
}

pub fn member(number: u8) -> Member {
    Member::parse(&format!("{number:032x}")).unwrap()
}

/// A record for an hour. It contains every byte, also those that could end a text.
pub fn record(generation: u64) -> Record {
    let mut sealed: Vec<u8> = (0..=255).collect();
    sealed.extend(generation.to_be_bytes());
    Record {
        generation,
        sealed: Bytes::from(sealed),
        left: 60 * MINUTE,
    }
}
