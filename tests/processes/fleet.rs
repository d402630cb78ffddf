//! The processes, and what Sipher saw of them.

use std::{
    collections::BTreeSet,
    env,
    io::Write,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use sipher_session::testing::{FakeSipher, Operation, Served, SessionUse, Tier};
use tokio::runtime::Runtime;

use crate::{child::MANAGERS, server::Server};

pub const PROCESSES: usize = 8;

pub struct Fleet {
    sipher: FakeSipher,
    served: Served,
    key: String,
    redis: String,
    processes: Vec<Option<Child>>,
    invalidations: usize,
    kills: usize,
    // The last to go: the server runs on it.
    _runtime: Runtime,
}

impl Fleet {
    pub fn new(redis: &Server) -> Self {
        let runtime = Runtime::new().unwrap();
        let sipher = FakeSipher::new();
        // Long enough for a kill in the middle of a create.
        sipher.set_latency(Duration::from_millis(30));
        sipher.set_rate_limit(None);
        let served = runtime.block_on(sipher.serve()).unwrap();
        Self {
            key: sipher.api_key(Tier::Enterprise),
            sipher,
            served,
            redis: redis.url(),
            processes: (0..PROCESSES).map(|_| None).collect(),
            invalidations: 0,
            kills: 0,
            _runtime: runtime,
        }
    }

    pub fn start(&mut self, number: usize) {
        let mut child = Command::new(env::current_exe().unwrap());
        child
            .args(["member", "--exact", "--ignored", "--nocapture"])
            .env("SIPHER_API_KEY", &self.key)
            .env("SIPHER_BASE_URL", self.served.base_url())
            .env("REDIS_URL", &self.redis)
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        self.processes[number] = Some(child.spawn().unwrap());
    }

    pub fn kill(&mut self, number: usize) {
        if let Some(mut child) = self.processes[number].take() {
            child.kill().unwrap();
            child.wait().unwrap();
            self.kills += 1;
        }
    }

    pub fn tell(&mut self, number: usize, order: &str) {
        self.invalidations += 1;
        let child = self.processes[number].as_mut().unwrap();
        writeln!(child.stdin.as_mut().unwrap(), "{order}").unwrap();
    }

    pub fn invalidations(&self) -> usize {
        self.invalidations
    }

    pub fn kills(&self) -> usize {
        self.kills
    }

    pub fn creates(&self) -> usize {
        self.sipher.count(Operation::Create)
    }

    /// Waits until whatever was under way has ended, and everybody has sent something since.
    pub fn come_to_rest(&self) {
        let sent = || {
            let log = self.sipher.log();
            log.iter()
                .filter(|exchange| exchange.operation == Operation::Other)
                .count()
        };
        for _ in 0..3 {
            let before = sent();
            while sent() < before + 4 * PROCESSES * MANAGERS {
                sleep(Duration::from_millis(50));
            }
        }
    }

    /// The sessions that the last requests bore.
    pub fn sessions_in_use(&self) -> BTreeSet<String> {
        let log = self.sipher.log();
        let last = log
            .iter()
            .rev()
            .filter(|exchange| exchange.operation == Operation::Other);
        last.take(PROCESSES * MANAGERS)
            .map(|exchange| match &exchange.session {
                SessionUse::Live { id, .. } => id.clone(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// All end in peace; what was seen is judged.
    pub fn end(mut self) {
        for child in self.processes.iter_mut().flatten() {
            drop(child.stdin.take());
        }
        for child in self.processes.iter_mut().flatten() {
            assert!(child.wait().unwrap().success());
        }
        self.sipher.assert_every_call_had_a_session();
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in self.processes.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
