//! A server that a sentinel names, and the replica that takes over from it.

use sipher_session::store::{Left, RedisStore, SessionStore};

use crate::{
    server::Server,
    subject::{Subject, member},
};

#[tokio::test]
async fn the_server_that_takes_over_is_found_and_not_believed() {
    let Some(mut first) = Server::start() else {
        return;
    };
    let second = Server::start().unwrap();
    second.follow(&first);
    let sentinel = Server::with(&["sentinel.conf", "--sentinel"]).unwrap();
    sentinel.ask::<()>(&[
        "SENTINEL",
        "MONITOR",
        "fleet",
        "127.0.0.1",
        &first.port.to_string(),
        "1",
    ]);
    for (option, value) in [
        ("down-after-milliseconds", "300"),
        ("failover-timeout", "2000"),
    ] {
        sentinel.ask::<()>(&["SENTINEL", "SET", "fleet", option, value]);
    }
    // The sentinel learns of the replica from the master.
    while sentinel
        .ask::<Vec<redis::Value>>(&["SENTINEL", "REPLICAS", "fleet"])
        .is_empty()
    {
        std::thread::yield_now();
    }

    let store = RedisStore::sentinel([sentinel.url()], "fleet").unwrap();
    let mut changes = store.changes();
    assert_eq!(changes.next().await, None);
    let it = Subject::with(second, store);
    let published = it.published(member(1)).await;
    assert_eq!(changes.next().await, Some(it.slot));
    it.server().catch_up_with(&first);

    first.kill();
    it.until_it_works().await;
    assert_eq!(changes.next().await, None);
    while it.store.leave(it.slot, member(9), 1).await.is_err() {} // waits until the new master accepts writes
    assert_eq!(it.current().await, Some(published.generation));
    assert_eq!(it.leave(1, &published).await, Left::Others);
    it.published(member(2)).await;
    while changes.next().await != Some(it.slot) {}
}

#[tokio::test]
async fn a_name_that_no_sentinel_knows_is_an_error() {
    let Some(sentinel) = Server::with(&["sentinel.conf", "--sentinel"]) else {
        return;
    };
    let store = RedisStore::sentinel([sentinel.url()], "redis://user:secret@nobody/0").unwrap();
    let error = store.get(crate::subject::slot()).await.unwrap_err();
    assert!(
        error.to_string().to_lowercase().contains("master"),
        "{error}"
    );
    assert!(!format!("{store:?} {error:?}").contains("secret"));
}
