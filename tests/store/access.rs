//! The documented access rules are enough: a user of the Redis server with these rights, and no others, can do everything.

use sipher_session::store::{Left, RedisStore, SessionStore};

use crate::{
    server::Server,
    subject::{MINUTE, Subject, member, record},
};

#[tokio::test]
async fn the_documented_rules_are_enough() {
    let Some(server) = Server::start() else {
        return;
    };
    allow(&server, &documented_rules());
    let store = RedisStore::connect(&format!("redis://fleet:secret@127.0.0.1:{}", server.port));
    all_steps(server, store.unwrap()).await;
}

#[tokio::test]
async fn what_is_documented_in_addition_is_enough_in_a_cluster_and_behind_sentinels() {
    let cluster = ["--cluster-enabled", "yes", "--save", ""];
    let Some(server) = Server::with(&cluster) else {
        return;
    };
    server.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    crate::cluster::wait(&server);
    let rules = format!("{} +cluster|slots +asking +ping", documented_rules());
    allow(&server, &rules);
    let store = RedisStore::cluster([format!("redis://fleet:secret@127.0.0.1:{}", server.port)]);
    all_steps(server, store.unwrap()).await;

    let (server, sentinel) = (
        Server::start().unwrap(),
        Server::with(&["sentinel.conf", "--sentinel"]),
    );
    let rules = format!("{} +role", documented_rules());
    allow(&server, &rules);
    let (sentinel, port) = (sentinel.unwrap(), server.port.to_string());
    sentinel.ask::<()>(&[
        "SENTINEL",
        "MONITOR",
        "fleet-master",
        "127.0.0.1",
        &port,
        "1",
    ]);
    let store = RedisStore::sentinel([sentinel.url()], "redis://fleet:secret@fleet-master");
    all_steps(server, store.unwrap()).await;
}

/// Takes each step of the store, and waits for its announcement.
async fn all_steps(server: Server, store: RedisStore) -> Subject {
    let it = Subject::with(server, store);
    let mut changes = it.store.changes();
    assert_eq!(changes.next().await, None, "subscribed");
    let generation = it.granted(member(1), 0).await;
    it.store
        .release(it.slot, member(1), generation, MINUTE)
        .await
        .unwrap();
    it.store.revoke(it.slot, generation).await.unwrap();
    let published = it.published(member(1)).await;
    while changes.next().await != Some(it.slot) {}
    it.keep(member(2), &published).await;
    assert_eq!(it.leave(1, &published).await, Left::Others);
    assert_eq!(it.leave(2, &published).await, Left::Last);
    let lost = record(published.generation + 1);
    it.keep(member(1), &lost).await;
    it.server().ask::<()>(&["SCRIPT", "FLUSH"]);
    it.current().await;
    it.keep(member(1), &lost).await;
    let mut denied: Vec<redis::Value> = it.server().ask(&["ACL", "LOG"]);
    // Newer servers get this command as well, and older ones have no rule for it.
    denied.retain(|entry| !format!("{entry:?}").contains("client|setinfo"));
    assert!(denied.is_empty(), "{denied:?}");
    it
}

fn allow(server: &Server, rules: &str) {
    let mut command = vec!["ACL", "SETUSER", "fleet", "on", ">secret"];
    command.extend(rules.split(' '));
    server.ask::<()>(&command);
}

#[tokio::test]
async fn a_user_who_may_not_subscribe_can_do_all_else() {
    let Some(server) = Server::start() else {
        return;
    };
    allow(&server, &documented_rules().replace(" +subscribe", ""));
    let store = RedisStore::connect(&format!("redis://fleet:secret@127.0.0.1:{}", server.port));
    let it = Subject::with(server, store.unwrap());
    let _changes = it.store.changes();
    let published = it.published(member(1)).await;
    let denied = || it.server().ask::<Vec<redis::Value>>(&["ACL", "LOG"]).len();
    while denied() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(it.leave(1, &published).await, Left::Last);
}

#[tokio::test]
async fn an_error_of_a_wrong_password_does_not_show_it() {
    let Some(server) = Server::start() else {
        return;
    };
    let url = format!("redis://fleet:hunter2hunter2@127.0.0.1:{}", server.port);
    let store = RedisStore::connect(&url).unwrap();
    let error = store.get(crate::subject::slot()).await.unwrap_err();
    let mut shown = format!("{error:?} {error} {store:?}");
    let mut next = error.source();
    while let Some(cause) = next {
        shown = format!("{shown} {cause:?} {cause}");
        next = cause.source();
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(
        shown.contains("WRONGPASS") || shown.contains("uthentication"),
        "{shown}"
    );
}

/// Returns the line with the rules from the module's documentation.
fn documented_rules() -> String {
    let docs = include_str!("../../src/store/redis/mod.rs");
    let line = docs
        .lines()
        .find_map(|line| line.split("ACL SETUSER fleet on >password ").nth(1));
    line.expect("the documentation has the rules")
        .trim()
        .to_owned()
}
