//! A server that is full, stopped or gone, or that holds values which no store wrote.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use sipher_session::store::{Left, RedisStore, SessionStore};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use crate::{
    server::Server,
    subject::{MINUTE, Subject, member, record, slot},
};

#[tokio::test]
async fn a_full_server_refuses_and_nothing_is_half_done() {
    let Some(it) = Subject::redis() else { return };
    let published = it.published(member(1)).await;
    let fill = |bytes| {
        it.server()
            .ask::<()>(&["CONFIG", "SET", "maxmemory", bytes]);
    };
    fill("1");
    let refused = it
        .store
        .claim(it.slot, member(2), published.generation, MINUTE)
        .await;
    assert!(refused.unwrap_err().to_string().contains("OOM"));
    let kept = it
        .store
        .keep(it.slot, member(2), published.clone(), MINUTE)
        .await;
    assert_eq!(
        it.current().await,
        Some(published.generation),
        "it can be read"
    );
    fill("0");
    let left = it.leave(1, &published).await;
    assert_eq!(left == Left::Others, kept.is_ok(), "{left:?} {kept:?}");
    it.granted(member(2), published.generation).await;
}

#[tokio::test]
async fn a_flush_between_any_two_steps_is_no_error() {
    let Some(it) = Subject::redis() else { return };
    let generation = it.granted(member(1), 0).await;
    it.forget_everything();
    let published = it
        .store
        .publish(it.slot, member(1), record(generation), MINUTE);
    assert!(!published.await.unwrap(), "the claim was forgotten");
    it.forget_everything();
    it.store
        .release(it.slot, member(1), generation, MINUTE)
        .await
        .unwrap();
    it.forget_everything();
    it.keep(member(1), &record(generation)).await;
    it.forget_everything();
    assert_eq!(it.leave(1, &record(generation)).await, Left::Others);
    it.store.revoke(it.slot, generation).await.unwrap();
    it.forget_everything();
    it.granted(member(1), 0).await;
}

#[tokio::test]
async fn a_stopped_server_is_waited_for_no_longer_than_the_timeout() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store().timeout(Duration::from_millis(100));
    store.get(slot()).await.unwrap();
    server.stop();
    for _ in 0..3 {
        let error = store.get(slot()).await.unwrap_err();
        assert!(error.to_string().contains("100ms"), "{error}");
    }
    server.go_on();
    let it = Subject::with(server, store);
    it.until_it_works().await;
}

#[tokio::test]
async fn a_connection_whose_other_end_is_gone_without_a_word_is_replaced() {
    let Some(server) = Server::start() else {
        return;
    };
    let way = Way::to(server.port).await;
    let url = format!("redis://127.0.0.1:{}", way.port);
    let store = RedisStore::connect(&url).unwrap();
    let store = store.timeout(Duration::from_millis(200));
    let mut changes = store.changes();
    for _ in 0..2 {
        assert_eq!(changes.next().await, None, "subscribed");
        way.lose_what_is_under_way();
        store.get(slot()).await.unwrap_err();
        store.get(slot()).await.unwrap();
    }
    assert_eq!(changes.next().await, None);
}

#[tokio::test]
async fn a_master_that_is_one_no_more_is_left_and_looked_for_again() {
    let (Some(server), Some(other)) = (Server::start(), Server::start()) else {
        return;
    };
    let it = Subject::of(server);
    it.granted(member(1), 0).await;
    let connection = || {
        let clients: String = it.server().ask(&["CLIENT", "LIST"]);
        let its = clients.lines().find(|line| line.contains("resp=3"));
        its.and_then(|line| line.split(' ').next())
            .map(str::to_owned)
    };
    let before = connection();
    it.server().follow(&other);
    let error = it.store.claim(it.slot, member(1), 0, MINUTE).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("READONLY") || error.contains("read only"),
        "{error}"
    );
    it.current().await;
    let after = connection();
    assert!(
        before.is_some() && after.is_some() && before != after,
        "{before:?}, {after:?}"
    );
}

/// A proxy between a store and its server.
struct Way {
    port: u16,
    cut: Arc<Notify>,
}

impl Way {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().port();
        let cut = Arc::new(Notify::new());
        let lost = cut.clone();
        tokio::spawn(async move {
            loop {
                let (mut one, _) = listener.accept().await.unwrap();
                let mut other = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let lost = lost.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut one, &mut other) => {}
                        () = lost.notified() => std::future::pending().await, // both connections stay open
                    }
                });
            }
        });
        Self { port: here, cut }
    }

    fn lose_what_is_under_way(&self) {
        self.cut.notify_waiters();
    }
}

#[tokio::test]
async fn what_was_never_there_is_an_error_and_works_when_it_comes() {
    let Some(mut server) = Server::start() else {
        return;
    };
    server.kill();
    let store = server.store();
    let (one, other) = tokio::join!(store.get(slot()), store.claim(slot(), member(1), 0, MINUTE));
    assert!(one.is_err() && other.is_err());
    server.start_again();
    store.get(slot()).await.unwrap();
}

#[tokio::test]
async fn the_call_after_the_first_one_works_when_a_server_is_back() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let store = server.store();
    for _ in 0..3 {
        server.kill();
        while store.get(slot()).await.is_ok() {}
        store.get(slot()).await.unwrap_err();
        server.start_again();
        let first = store.get(slot()).await;
        let second = store.get(slot()).await;
        assert!(second.is_ok(), "{first:?}, then {second:?}");
    }
}

#[test]
fn a_runtime_that_ends_takes_the_connection_along_and_not_the_store() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store();
    for _ in 0..3 {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listening = runtime.block_on(async {
            let listening = store.changes();
            if store.get(slot()).await.is_err() {
                store.get(slot()).await.unwrap();
            }
            listening
        });
        drop(runtime);
        drop(listening);
    }
}

#[test]
fn who_connects_on_a_runtime_that_stands_still_keeps_nobody_from_the_store() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store().timeout(Duration::from_secs(2));
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let (stalled, driven) = (runtime(), runtime());
    let mut connecting = pin!(store.get(slot()));
    stalled.block_on(async {
        let once = poll_fn(|cx| Poll::Ready(connecting.as_mut().poll(cx).is_pending()));
        assert!(once.await, "it has begun to connect");
    });
    driven.block_on(store.get(slot())).unwrap();
}

#[tokio::test]
async fn values_that_nobody_could_have_put_there_are_errors() {
    let Some(it) = Subject::redis() else { return };
    let bad: [&[&str]; 9] = [
        &["LPUSH", "KEY", "a"],
        &["HSET", "KEY", "a", "b"],
        &["ZADD", "KEY", "1", "a"],
        &["SET", "KEY", ""],
        &["SET", "KEY", "no record"],
        &["SET", "KEY", "007:sealed"],
        &["SET", "KEY", "18446744073709551616:sealed"],
        &["SET", "KEY", "99999999999999999999999:sealed"],
        &["SET", "KEY", "5:has no end"],
    ];
    for key in ["record", "claim", "highest", "revoked", "users:7"] {
        for bad in bad {
            it.forget_everything();
            let key = format!("sipher-session:{{{}}}:{key}", it.slot);
            let set: Vec<_> = bad
                .iter()
                .map(|part| if *part == "KEY" { &key } else { *part })
                .collect();
            it.server().ask::<()>(&set);
            // These calls may fail, but they must return.
            let member = member(1);
            let _ = it.store.get(it.slot).await;
            let _ = it.store.claim(it.slot, member, 0, MINUTE).await;
            let _ = it.store.publish(it.slot, member, record(7), MINUTE).await;
            let _ = it.store.release(it.slot, member, 7, MINUTE).await;
            let kept = it.store.keep(it.slot, member, record(7), MINUTE).await;
            let left = it.store.leave(it.slot, member, 7).await;
            let _ = it.store.revoke(it.slot, 7).await;
            assert!(
                !matches!(left, Ok(Left::Last)),
                "{set:?}: {kept:?}, {left:?}"
            );
        }
    }
    let key = format!("sipher-session:{{{}}}:record", it.slot);
    for bad in &bad[..8] {
        it.forget_everything();
        let set: Vec<_> = bad
            .iter()
            .map(|part| if *part == "KEY" { &key } else { *part })
            .collect();
        it.server().ask::<()>(&set);
        it.store.get(it.slot).await.unwrap_err();
    }
}
