//! The processes of a fleet, and what the server saw of them.

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

use crate::server::Server;

/// The size of the fleet, and the life of its sessions.
#[derive(Clone, Copy)]
pub struct Size {
    pub processes: usize,
    /// The number of managers in each process.
    pub managers: usize,
    pub ttl: Duration,
    /// Twice the time for which others wait if a process is killed during a create.
    pub create_timeout: Duration,
}

impl Size {
    fn all(self) -> usize {
        self.processes * self.managers
    }

    /// How long a manager rests between two requests, so that all managers together send a thousand a second.
    fn pause(self) -> Duration {
        Duration::from_millis(1) * u32::try_from(self.all()).unwrap()
    }
}

pub struct Fleet {
    size: Size,
    sipher: FakeSipher,
    served: Served,
    key: String,
    redis: String,
    processes: Vec<Option<Child>>,
    invalidations: usize,
    kills: usize,
    // Dropped last, because the server runs on this runtime.
    _runtime: Runtime,
}

impl Fleet {
    pub fn new(redis: &Server, size: Size) -> Self {
        let runtime = Runtime::new().unwrap();
        let sipher = FakeSipher::new();
        // Long enough that a kill can hit the middle of a create.
        sipher.set_latency(Duration::from_millis(30));
        sipher.set_rate_limit(None);
        let served = runtime.block_on(sipher.serve()).unwrap();
        Self {
            size,
            key: sipher.api_key(Tier::Enterprise),
            sipher,
            served,
            redis: redis.url(),
            processes: (0..size.processes).map(|_| None).collect(),
            invalidations: 0,
            kills: 0,
            _runtime: runtime,
        }
    }

    pub fn start_all(&mut self) {
        (0..self.size.processes).for_each(|number| self.start(number));
    }

    pub fn start(&mut self, number: usize) {
        let mut child = Command::new(env::current_exe().unwrap());
        child
            .args(["member", "--exact", "--ignored", "--nocapture"])
            .env("SIPHER_API_KEY", &self.key)
            .env("SIPHER_BASE_URL", self.served.base_url())
            .env("REDIS_URL", &self.redis)
            .env("MANAGERS", self.size.managers.to_string())
            .env(
                "CREATE_TIMEOUT_SECONDS",
                self.size.create_timeout.as_secs().to_string(),
            )
            .env("TTL_SECONDS", self.size.ttl.as_secs().to_string())
            .env("PAUSE_MILLIS", self.size.pause().as_millis().to_string())
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

    /// Prints the session calls and their times.
    pub fn print_session_calls(&self) {
        let log = self.sipher.log();
        let start = log.first().map_or(Duration::ZERO, |first| first.at);
        for call in log.iter().filter(|call| call.operation != Operation::Other) {
            println!(
                "{:>7.2} s  {call}",
                call.at.saturating_sub(start).as_secs_f64()
            );
        }
    }

    /// Waits until all work in flight has ended, and every manager has sent a request since then.
    pub fn come_to_rest(&self) {
        let sent = || {
            let log = self.sipher.log();
            log.iter()
                .filter(|exchange| exchange.operation == Operation::Other)
                .count()
        };
        for _ in 0..3 {
            let before = sent();
            while sent() < before + 4 * self.size.all() {
                sleep(self.size.pause());
            }
        }
    }

    /// Returns the sessions of the last requests.
    pub fn sessions_in_use(&self) -> BTreeSet<String> {
        let log = self.sipher.log();
        let last = log
            .iter()
            .rev()
            .filter(|exchange| exchange.operation == Operation::Other);
        last.take(self.size.all())
            .map(|exchange| match &exchange.session {
                SessionUse::Live { id, .. } => id.clone(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// Lets all processes end normally, and judges what the server saw.
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
