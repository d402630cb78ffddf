//! Runs the example `axum_agent` as its users do: in a process of its own, with real sockets and real signals.
#![cfg(unix)]
#![allow(clippy::unwrap_used)] // for the helper functions

use std::{
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::Duration,
};

use serde_json::Value;

/// Longer than the slowest run of the agent.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running agent. It is killed when a test fails.
struct Agent {
    process: Child,
    lines: Receiver<String>,
    address: String,
}

impl Agent {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("SIPHER_") {
                command.env_remove(name);
            }
        }
        let mut process = command
            .args(arguments)
            .env_remove("AXUM_AGENT_ADDR")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines_of(&mut process);
        let mut agent = Self {
            process,
            lines,
            address: String::new(),
        };
        let first = agent.lines.recv_timeout(PATIENCE).expect("a first line");
        let address = first.strip_prefix("listening on ").expect(&first);
        address.clone_into(&mut agent.address);
        agent
    }

    async fn ask(&self, http: &reqwest::Client, chain: &str) -> Value {
        let url = format!("http://{}/{chain}/address", self.address);
        let response = http.post(url).timeout(PATIENCE).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.json().await.unwrap()
    }

    fn signal(&self, signal: &str) {
        let mut kill = Command::new("kill");
        let kill = kill.args([signal, &self.process.id().to_string()]);
        assert!(kill.status().unwrap().success());
    }

    /// Returns the rest of the agent's output, and its exit status.
    fn end(mut self) -> (String, ExitStatus) {
        let mut rest = String::new();
        // When the agent ends, its end of the pipe closes.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => rest.extend([line.as_str(), "\n"]),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it never ends:\n{rest}"),
            }
        }
        (rest, self.process.wait().unwrap())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads lines in a thread, because reading a pipe has no timeout.
fn lines_of(process: &mut Child) -> Receiver<String> {
    let stdout = BufReader::new(process.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

/// Returns the path of the example. Cargo puts tests into `deps` and examples beside it. `cargo test` builds both.
/// `cargo test --test axum_agent` builds only the test.
fn binary() -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let binary = profile.join("examples").join("axum_agent");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/axum_agent.rs");
    let changed = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
    assert!(
        changed(&binary) >= changed(&source),
        "{} is missing or older than its source: \
         `cargo build --example axum_agent` builds it, with the profile and target of this test",
        binary.display()
    );
    binary
}

/// Asserts that the shutdown report shows two deleted sessions, one for each chain, and none left.
fn assert_clean(output: &str) {
    for line in [
        "2 deleted, 0 already gone, 0 left to expire, 0 failed, 0 possible orphans",
        "sessions still alive: 0",
    ] {
        assert!(
            output.lines().any(|l| l == line),
            "no `{line}` in:\n{output}"
        );
    }
}

async fn stopped_by(signal: &str) {
    let agent = Agent::start(&["--serve"]);
    let http = reqwest::Client::new();
    for chain in ["near", "ethereum", "ethereum", "near"] {
        let answer = agent.ask(&http, chain).await;
        assert_eq!(answer["data"]["chain"], chain);
    }
    // The client keeps its connection open in the meantime, as real callers do.
    agent.signal(signal);
    let (output, status) = agent.end();
    assert_clean(&output);
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn sigterm_leaves_no_session_behind() {
    stopped_by("-TERM").await;
}

#[tokio::test]
async fn ctrl_c_leaves_no_session_behind() {
    stopped_by("-INT").await;
}

#[test]
fn by_itself_it_visits_itself_and_ends() {
    let (output, status) = Agent::start(&[]).end();
    assert_clean(&output);
    assert_eq!(status.code(), Some(0));
}
