//! Ten thousand first callers at once, compared with ten thousand tasks that a channel wakes.

use std::time::{Duration, Instant};

use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    task::JoinSet,
};
use tower::{Layer, Service};

use sipher_session::{SessionLayer, SessionManager};

use crate::{
    ours::{self, KEY},
    request::{Call, OURS, Sink, call_with_key},
    stub::StubSipher,
};

const CREATE: Duration = Duration::from_millis(10);

fn runtime() -> Runtime {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime")
}

fn requests(n: usize) -> Vec<Call> {
    (0..n).map(|_| call_with_key(OURS, KEY)).collect()
}

async fn one(manager: SessionManager, request: Call) {
    let response = SessionLayer::new(manager).layer(Sink).call(request).await;
    assert!(response.is_ok());
}

/// Returns the seconds until the last of `n` callers is served. The first caller starts the create.
pub fn cold(n: usize) -> f64 {
    let stub = StubSipher::new(3_600).delay(CREATE);
    let manager = ours::builder(&stub).build().expect("good settings");
    let requests = requests(n);
    let took = runtime().block_on(async move {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for request in requests {
            tasks.spawn(one(manager.clone(), request));
        }
        tasks.join_all().await;
        start.elapsed()
    });
    assert_eq!(stub.creates(), 1);
    took.as_secs_f64()
}

/// Returns the seconds until the last of `n` tasks has been woken and has made a call with the existing session.
pub fn woken(n: usize) -> f64 {
    let stub = StubSipher::new(3_600);
    let manager = ours::builder(&stub).build().expect("good settings");
    let requests = requests(n);
    let took = runtime().block_on(async move {
        manager.session().await.expect("a session");
        let start = Instant::now();
        let (there, is_there) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            tokio::time::sleep(CREATE).await;
            there.send_replace(true);
        });
        for request in requests {
            let (mut is_there, manager) = (is_there.clone(), manager.clone());
            tasks.spawn(async move {
                let _ = is_there.wait_for(|there| *there).await;
                one(manager, request).await;
            });
        }
        tasks.join_all().await;
        start.elapsed()
    });
    took.as_secs_f64()
}

/// Returns the seconds from the moment at which a channel wakes `n` tasks until the last of them has made a call with
/// the existing session.
pub fn woken_at_once(n: usize) -> f64 {
    let stub = StubSipher::new(3_600);
    let manager = ours::builder(&stub).build().expect("good settings");
    let requests = requests(n);
    let took = alone().block_on(async move {
        manager.session().await.expect("a session");
        let (there, is_there) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for request in requests {
            let (mut is_there, manager) = (is_there.clone(), manager.clone());
            tasks.spawn(async move {
                let _ = is_there.wait_for(|there| *there).await;
                one(manager, request).await;
            });
        }
        come_to_rest(n).await;
        let start = Instant::now();
        there.send_replace(true);
        tasks.join_all().await;
        start.elapsed()
    });
    took.as_secs_f64()
}

/// Creates a runtime with one thread, on which the order of tasks is known.
fn alone() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime")
}

/// Lets `n` tasks, and the tasks that they start, run until all of them wait.
async fn come_to_rest(n: usize) {
    for _ in 0..4 + n / 16 {
        tokio::task::yield_now().await;
    }
}

/// Returns the seconds from the answer to the create until the last of `n` waiting callers is served.
pub fn released(n: usize) -> f64 {
    let stub = StubSipher::new(3_600);
    stub.open(false);
    let manager = ours::builder(&stub).build().expect("good settings");
    let requests = requests(n);
    let took = alone().block_on(async move {
        let mut tasks = JoinSet::new();
        for request in requests {
            tasks.spawn(one(manager.clone(), request));
        }
        come_to_rest(n).await;
        let start = Instant::now();
        stub.open(true);
        tasks.join_all().await;
        start.elapsed()
    });
    took.as_secs_f64()
}
