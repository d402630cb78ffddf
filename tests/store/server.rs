//! A real Redis server in a folder of its own. It can be killed, stopped, filled and started again.

use std::{
    env, fs,
    io::Write,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use redis::{Client, Connection, FromRedisValue};
use sipher_session::store::RedisStore;

pub struct Server {
    pub port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    child: Child,
}

impl Server {
    /// Starts a server that writes nothing to disk. If no server can be started, this prints a notice and returns
    /// `None`. In CI, that is a failure.
    pub fn start() -> Option<Self> {
        Self::with(&["--save", "", "--appendonly", "no"])
    }

    pub fn with(arguments: &[&str]) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if Command::new(program())
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_err()
        {
            skip(&program());
            return None;
        }
        let name = format!(
            "store-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::SeqCst)
        );
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("sentinel.conf"), "").unwrap(); // a sentinel needs a writable file
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        // Another process may take the port in the meantime. Then this server ends at once, and the next port is tried.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let mut child = spawn(port, &folder, &arguments);
            if answers(port, &mut child) {
                return Some(Self {
                    port,
                    folder,
                    arguments,
                    child,
                });
            }
        }
        panic!("no server could be started: see {}", folder.display());
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn store(&self) -> RedisStore {
        RedisStore::connect(&self.url()).unwrap()
    }

    /// Sends a command on a connection of its own, not the store's.
    pub fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        self.try_ask(command).unwrap()
    }

    pub fn try_ask<T: FromRedisValue>(&self, command: &[&str]) -> redis::RedisResult<T> {
        let mut asked = redis::cmd(command[0]);
        asked.arg(&command[1..]).query(&mut self.connection())
    }

    pub fn connection(&self) -> Connection {
        Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    pub fn keys(&self) -> Vec<String> {
        self.ask(&["KEYS", "*"])
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Turns this server into a replica with the master's data.
    pub fn follow(&self, master: &Self) {
        self.ask::<()>(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
        let is_up = |info: String| info.contains("master_link_status:up");
        while !is_up(self.ask(&["INFO", "replication"])) {
            thread::yield_now();
        }
    }

    /// Waits until this replica has as many keys as the master. The writes of a script arrive together.
    pub fn catch_up_with(&self, master: &Self) {
        while self.keys().len() != master.keys().len() {
            thread::yield_now();
        }
    }

    /// Starts the server again on the same port, with the data on disk.
    pub fn start_again(&mut self) {
        self.child = spawn(self.port, &self.folder, &self.arguments);
        assert!(
            answers(self.port, &mut self.child),
            "see {}",
            self.folder.display()
        );
    }

    /// Keeps the server's connections open, but answers nobody.
    pub fn stop(&self) {
        self.signal("-STOP");
    }

    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Prints that a test is skipped, past the capture of test output. In CI, nothing is skipped.
pub fn skip(what: &str) {
    assert!(env::var_os("CI").is_none(), "there is no {what}");
    let skipped = format!("\nSKIPPED: there is no {what}\n");
    std::io::stderr().write_all(skipped.as_bytes()).unwrap();
}

fn program() -> String {
    env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

fn spawn(port: u16, folder: &PathBuf, arguments: &[String]) -> Child {
    let mut command = Command::new(program());
    // A configuration file comes first.
    let (first, others) = match arguments.split_first() {
        Some((file, others)) if !file.starts_with("--") => (Some(file), others),
        _ => (None, arguments),
    };
    command
        .args(first)
        .args([
            "--port",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--logfile",
            "log",
            "--dir",
        ])
        .arg(folder)
        .args(others)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Waits until the server answers, or has ended.
fn answers(port: u16, child: &mut Child) -> bool {
    let client = Client::open(format!("redis://127.0.0.1:{port}")).unwrap();
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        let asked = client
            .get_connection()
            .and_then(|mut it| redis::cmd("PING").exec(&mut it));
        match asked {
            Ok(()) => return true,
            // A server that wants a password has started as well.
            Err(error) if error.to_string().contains("NOAUTH") => return true,
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}
