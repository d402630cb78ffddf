use std::time::Duration;

use super::*;
use crate::{
    Chain, SessionDefaults, SessionManager, SessionManagerBuilder, ShutdownReport,
    api::Transport,
    testing::{FakeSipher, TestClock, Tier},
};

const SECOND: Duration = Duration::from_secs(1);

fn builder(sipher: &FakeSipher, clock: &TestClock) -> SessionManagerBuilder {
    SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .transport(Transport::new(sipher.clone()))
        .base_url(FakeSipher::base_url())
        .clock(clock.clone())
}

/// Pretends that this process was forked and now is the child.
async fn fork(manager: &SessionManager) {
    manager.core().owner.forks.fetch_add(1, Ordering::Relaxed);
    // Wait until memos expire and the process id is checked again.
    tokio::time::sleep(SPAN).await;
}

async fn shut_down(manager: &SessionManager) -> ShutdownReport {
    manager.shutdown(5 * SECOND).await
}

#[tokio::test(start_paused = true)]
async fn a_copy_makes_sessions_of_its_own_and_deletes_no_others() {
    let sipher = FakeSipher::new();
    let manager = builder(&sipher, &TestClock::new()).build().unwrap();
    let before = manager.session().await.unwrap();
    fork(&manager).await;
    let after = manager.session().await.unwrap();
    assert_ne!(before.id(), after.id());
    assert_eq!(manager.session().await.unwrap().id(), after.id());
    assert_eq!(shut_down(&manager).await.deleted, 1);
    assert_eq!(sipher.live_sessions(), 1, "that of the other process");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_shuts_down_at_once_deletes_nothing() {
    let sipher = FakeSipher::new();
    let manager = builder(&sipher, &TestClock::new()).build().unwrap();
    let session = manager.session().await.unwrap();
    // One session is in use, and another one waits for its deletion.
    manager.invalidate(session.generation());
    let lease = manager.apply(&mut http::HeaderMap::new()).await.unwrap();
    assert!(lease.is_some());
    let session = manager.session().await.unwrap();
    manager.invalidate(session.generation());
    manager.session().await.unwrap();
    let alive = sipher.live_sessions();
    manager.core().owner.forks.fetch_add(1, Ordering::Relaxed);
    let report = shut_down(&manager).await;
    assert_eq!((report.deleted, report.left_to_expire), (0, 0), "{report}");
    assert_eq!(sipher.live_sessions(), alive);
}

#[tokio::test(start_paused = true)]
async fn a_copy_does_not_wait_for_a_create_of_the_other_process() {
    let sipher = FakeSipher::new();
    sipher.set_latency(10 * SECOND);
    let manager = builder(&sipher, &TestClock::new()).build().unwrap();
    let other = manager.clone();
    tokio::spawn(async move { other.session().await.map(drop) });
    tokio::time::sleep(SECOND).await;
    fork(&manager).await;
    sipher.set_latency(Duration::ZERO);
    let start = manager.core().now();
    manager.session().await.unwrap();
    assert!(manager.core().now().since(start) < SECOND);
}

#[cfg(feature = "store")]
#[tokio::test(start_paused = true)]
async fn a_copy_takes_up_the_fleets_session_as_a_member_of_its_own() {
    let (sipher, clock) = (FakeSipher::new(), TestClock::new());
    let store = crate::store::MemoryStore::new(clock.clone());
    let manager = builder(&sipher, &clock).store(store).build().unwrap();
    let before = manager.session().await.unwrap();
    fork(&manager).await;
    assert_eq!(manager.session().await.unwrap().id(), before.id());
    assert_eq!(sipher.count(crate::testing::Operation::Create), 1);
    // Long enough for a heartbeat.
    tokio::time::sleep(60 * SECOND).await;
    let report = shut_down(&manager).await;
    assert_eq!((report.deleted, report.left_to_others), (0, 1), "{report}");
    assert_eq!(sipher.live_sessions(), 1);
}
