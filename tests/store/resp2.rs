//! Servers that only know version 2 of the protocol.

use sipher_session::store::{RedisStore, SessionStore};

use crate::{
    cluster,
    server::Server,
    subject::{Subject, member, slot},
};

/// Starts a server that behaves like one from before version 3, or like a proxy in front of one.
fn without_hello(more: &[&str]) -> Option<Server> {
    let mut arguments = vec![
        "--save",
        "",
        "--appendonly",
        "no",
        "--rename-command",
        "HELLO",
        "",
    ];
    arguments.extend(more);
    Server::with(&arguments)
}

fn url(server: &Server) -> String {
    format!("{}/?protocol=resp2", server.url())
}

#[tokio::test]
async fn every_step_works_and_changes_are_heard_also_after_a_restart() {
    let Some(mut server) = without_hello(&[]) else {
        return;
    };
    let store = RedisStore::connect(&url(&server)).unwrap();
    let mut changes = store.changes();
    for _ in 0..2 {
        assert_eq!(
            changes.next().await,
            None,
            "anything may have changed before"
        );
        server.kill();
        server.start_again();
    }
    assert_eq!(changes.next().await, None);
    let it = Subject::with(server, store.clone());
    it.published(member(1)).await;
    assert_eq!(changes.next().await, Some(it.slot));
    it.store.revoke(it.slot, 1).await.unwrap();
    assert_eq!(changes.next().await, Some(it.slot));
}

#[tokio::test]
async fn a_cluster_is_heard_on_a_connection_to_one_of_its_nodes() {
    let Some(server) = without_hello(&["--cluster-enabled", "yes"]) else {
        return;
    };
    server.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    cluster::wait(&server);
    let gone = "redis://127.0.0.1:1/?protocol=resp2".to_owned();
    let store = RedisStore::cluster([gone, url(&server)]).unwrap();
    let mut changes = store.changes();
    assert_eq!(changes.next().await, None);
    let it = Subject::with(server, store.clone());
    it.published(member(1)).await;
    assert_eq!(changes.next().await, Some(it.slot));
}

#[tokio::test]
async fn a_server_without_version_3_is_an_error_that_says_what_to_write() {
    let Some(server) = without_hello(&[]) else {
        return;
    };
    let error = server.store().get(slot()).await.unwrap_err();
    assert!(error.to_string().contains("?protocol=resp2"), "{error}");
}
