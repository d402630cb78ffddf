//! Announcements of changes, and the tasks that deliver them.

use sipher_session::store::SessionStore;
use tokio::runtime::Handle;

use crate::{
    server::Server,
    subject::{Subject, member, slot},
};

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

async fn until_there_are(count: usize) {
    while tasks() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn changes_of_another_process_are_heard() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut changes = server.store().changes();
    let listening = server.store();
    let mut others = listening.changes();
    assert_eq!(
        others.next().await,
        None,
        "subscribed: anything may have changed before"
    );
    let it = Subject::of(server);
    it.published(member(1)).await;
    assert_eq!(others.next().await, Some(it.slot));
    drop(listening);
    // A store that was dropped announces nothing more.
    let ended = tokio::time::timeout(std::time::Duration::from_millis(10), changes.next());
    assert!(!matches!(ended.await, Ok(Some(_))));
}

#[tokio::test]
async fn after_each_reconnect_anything_may_have_changed_with_no_call_in_between() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let store = server.store();
    let mut changes = store.changes();
    for _ in 0..3 {
        assert_eq!(changes.next().await, None);
        server.kill();
        server.start_again();
    }
    assert_eq!(changes.next().await, None);
    let it = Subject::of(server);
    it.published(member(1)).await;
    assert_eq!(changes.next().await, Some(it.slot));
}

#[tokio::test]
async fn what_is_told_that_is_no_slot_may_be_anything() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let mut changes = store.changes();
    changes.next().await;
    for payload in ["", "no slot", "\u{e9}"] {
        server.ask::<()>(&["PUBLISH", "sipher-session:changes", payload]);
        assert_eq!(changes.next().await, None);
    }
}

#[tokio::test]
async fn nothing_runs_before_the_first_use_and_all_ends_with_the_last_clone() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let clone = store.clone();
    assert_eq!(tasks(), 0);
    let mut changes = clone.changes();
    changes.next().await;
    store.get(slot()).await.unwrap();
    assert!(tasks() > 0);
    drop(store);
    clone.get(slot()).await.unwrap();
    drop(clone);
    until_there_are(0).await;
    let clients: String = server.ask(&["CLIENT", "LIST"]);
    assert_eq!(clients.lines().count(), 1, "the one that asks: {clients}");
    drop(changes);
}

#[tokio::test]
async fn who_only_asks_does_not_subscribe_and_nobody_listens_for_nobody() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    store.get(slot()).await.unwrap();
    let asking = tasks();
    let changes = store.changes();
    assert_eq!(tasks(), asking + 1);
    drop(changes);
    until_there_are(asking).await;
    let mut again = store.changes();
    again.next().await;
}

#[test]
fn outside_of_a_runtime_listening_begins_with_the_first_call() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    let mut changes = store.changes();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        store.get(slot()).await.unwrap();
        changes.next().await;
    });
}
