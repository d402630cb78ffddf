//! A user of the server that may do what is documented, and nothing else, can do everything.

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
    let mut setuser = vec!["ACL", "SETUSER", "fleet", "on", ">secret"];
    let rules = documented_rules();
    setuser.extend(rules.split(' '));
    server.ask::<()>(&setuser);
    let store = RedisStore::connect(&format!("redis://fleet:secret@127.0.0.1:{}", server.port));
    let it = Subject::with(server, store.unwrap());
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
    it.keep(member(1), &record(published.generation + 1)).await;
    it.server().ask::<()>(&["SCRIPT", "FLUSH"]);
    it.current().await;
    // A replica that took over: another history.
    let users = format!(
        "sipher-session:{{{}}}:users:{}",
        it.slot,
        published.generation + 1
    );
    it.server()
        .ask::<()>(&["ZADD", &users, "0", "history:other"]);
    it.keep(member(1), &record(published.generation + 1)).await;
    let denied: Vec<redis::Value> = it.server().ask(&["ACL", "LOG"]);
    assert!(denied.is_empty(), "{denied:?}");
}

#[tokio::test]
async fn a_user_who_may_not_subscribe_can_do_all_else() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut setuser = vec!["ACL", "SETUSER", "fleet", "on", ">secret"];
    let rules = documented_rules().replace(" +subscribe", "");
    setuser.extend(rules.split(' '));
    server.ask::<()>(&setuser);
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
        shown.push_str(&format!("{cause:?} {cause}"));
        next = cause.source();
    }
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(
        shown.contains("WRONGPASS") || shown.contains("uthentication"),
        "{shown}"
    );
}

/// The one line of the module's documentation.
fn documented_rules() -> String {
    let docs = include_str!("../../src/store/redis/mod.rs");
    let line = docs
        .lines()
        .find_map(|line| line.split("ACL SETUSER fleet on >password ").nth(1));
    line.expect("the documentation has the rules")
        .trim()
        .to_owned()
}
