//! A cluster of one server, through the client for clusters.

use sipher_session::store::{Left, RedisStore, SessionStore};

use crate::{
    server::Server,
    subject::{Subject, member},
};

fn cluster() -> Option<Subject> {
    let server = Server::with(&[
        "--cluster-enabled",
        "yes",
        "--save",
        "",
        "--appendonly",
        "no",
    ])?;
    server.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    wait(&server);
    let store = RedisStore::cluster([server.url()]).unwrap();
    Some(Subject::with(server, store))
}

pub fn wait(server: &Server) {
    while !server
        .ask::<String>(&["CLUSTER", "INFO"])
        .contains("cluster_state:ok")
    {
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn every_step_works_in_a_cluster_and_changes_are_heard() {
    let Some(it) = cluster() else { return };
    let mut changes = it.store.changes();
    assert_eq!(changes.next().await, None);
    let published = it.published(member(1)).await;
    while changes.next().await != Some(it.slot) {}
    it.keep(member(2), &published).await;
    assert_eq!(it.leave(1, &published).await, Left::Others);
    assert_eq!(it.leave(2, &published).await, Left::Last);
    let generation = it.granted(member(1), 0).await;
    it.store
        .release(it.slot, member(1), generation, std::time::Duration::ZERO)
        .await
        .unwrap();
    it.store.revoke(it.slot, generation).await.unwrap();
    it.server().ask::<()>(&["SCRIPT", "FLUSH"]);
    assert_eq!(it.current().await, None);
}

#[tokio::test]
async fn a_cluster_that_was_gone_is_found_again_and_listened_to() {
    let Some(mut it) = cluster() else { return };
    let mut changes = it.store.changes();
    assert_eq!(changes.next().await, None);
    it.published(member(1)).await;
    while changes.next().await != Some(it.slot) {}
    it.restart();
    wait(it.server());
    it.until_it_works().await;
    assert_eq!(changes.next().await, None);
    it.published(member(2)).await;
    while changes.next().await != Some(it.slot) {}
}

#[tokio::test]
async fn all_tasks_end_with_the_store_of_a_cluster() {
    let Some(server) = Server::with(&["--cluster-enabled", "yes", "--save", ""]) else {
        return;
    };
    server.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    wait(&server);
    let store = RedisStore::cluster([server.url()]).unwrap();
    let mut changes = store.changes();
    store.get(crate::subject::slot()).await.unwrap();
    changes.next().await;
    drop(store);
    while tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks()
        > 0
    {
        tokio::task::yield_now().await;
    }
}
