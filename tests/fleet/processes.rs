//! A fleet: several managers in one test, each in the role of a process.

use std::time::Duration;

use sipher_session::{
    Event, Events, SessionManager, SessionManagerBuilder, store::MemoryStore, testing::TestClock,
};

use crate::{
    flaky::{Flaky, Published},
    support::Setup,
};

pub struct Fleet {
    pub setup: Setup,
    pub store: MemoryStore,
    pub published: Published,
    started: u64,
}

/// One process of the fleet.
pub struct Process {
    pub manager: SessionManager,
    pub store: Flaky,
    events: Events,
}

impl Fleet {
    pub fn new() -> Self {
        let setup = Setup::new();
        let clock = setup.clock.clone();
        Self::with(setup, clock)
    }

    /// A fleet whose store has a clock of its own.
    pub fn with_store_clock() -> (Self, TestClock) {
        let clock = TestClock::new();
        (Self::with(Setup::new(), clock.clone()), clock)
    }

    fn with(setup: Setup, clock: TestClock) -> Self {
        Self {
            setup,
            store: MemoryStore::new(clock),
            published: Published::default(),
            started: 0,
        }
    }

    pub fn start(&mut self) -> Process {
        self.start_with(|builder| builder)
    }

    pub fn start_with(
        &mut self,
        change: impl FnOnce(SessionManagerBuilder) -> SessionManagerBuilder,
    ) -> Process {
        self.started += 1;
        let store = Flaky::new(self.store.clone(), self.published.clone());
        let builder = self.setup.builder().seed(self.started).store(store.clone());
        let manager = change(builder).build().unwrap();
        Process {
            events: manager.events(),
            manager,
            store,
        }
    }

    pub fn start_many(&mut self, count: usize) -> Vec<Process> {
        (0..count).map(|_| self.start()).collect()
    }

    /// Each process sends a request. Returns the session ids of the requests.
    pub async fn call(&self, processes: &[Process]) -> Vec<String> {
        let mut ids = Vec::new();
        for process in processes {
            self.setup.call(&process.manager).await.unwrap();
            ids.push(self.setup.last_id().expect("a live session"));
        }
        ids.dedup();
        ids
    }

    /// Lets time pass under traffic: each process sends a request every `step`.
    pub async fn work(&self, processes: &[Process], time: Duration, step: Duration) {
        let end = tokio::time::Instant::now() + time;
        while tokio::time::Instant::now() < end {
            tokio::time::sleep(step).await;
            for process in processes {
                self.setup.call(&process.manager).await.unwrap();
            }
        }
    }
}

impl Process {
    pub fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv()).collect()
    }

    pub async fn shutdown(&self) -> sipher_session::ShutdownReport {
        self.manager.shutdown(Duration::from_secs(5)).await
    }
}
