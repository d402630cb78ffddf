//! A server that comes back without all of its data, or may have. No process may then learn that it is the last user.

use sipher_session::store::{Kept, Left, RedisStore, SessionStore};

use crate::{
    server::Server,
    subject::{MINUTE, Subject, member, record},
};

/// Starts a server that writes a snapshot only when it is told to.
fn with_snapshots() -> Option<Subject> {
    Server::with(&["--save", "3600 1000000", "--appendonly", "no"]).map(Subject::of)
}

#[tokio::test]
async fn members_that_an_old_snapshot_does_not_have_may_still_be_there() {
    let Some(mut it) = with_snapshots() else {
        return;
    };
    let published = it.published(member(1)).await;
    it.server().ask::<()>(&["SAVE"]);
    it.keep(member(2), &published).await;
    it.restart();
    it.until_it_works().await;
    assert_eq!(
        it.current().await,
        Some(published.generation),
        "the snapshot was read"
    );
    assert_eq!(it.leave(1, &published).await, Left::Others);
    it.pass(MINUTE);
    it.keep(member(1), &published).await;
    assert_eq!(it.leave(1, &published).await, Left::Others, "nor later");
}

#[tokio::test]
async fn a_log_that_was_written_to_the_end_is_not_believed_to_be() {
    let log = [
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ];
    let Some(server) = Server::with(&log) else {
        return;
    };
    let mut it = Subject::of(server);
    let published = it.published(member(1)).await;
    it.restart();
    it.until_it_works().await;
    assert_eq!(
        it.current().await,
        Some(published.generation),
        "the log was read"
    );
    assert_eq!(it.keep(member(1), &published).await, Kept::Current);
    assert_eq!(it.leave(1, &published).await, Left::Others);
    it.pass(MINUTE);
    it.keep(member(1), &published).await;
    assert_eq!(it.leave(1, &published).await, Left::Others, "nor later");
}

#[tokio::test]
async fn what_is_published_after_a_restart_has_a_last_one_again() {
    let Some(mut it) = with_snapshots() else {
        return;
    };
    let older = it.published(member(1)).await;
    it.server().ask::<()>(&["SAVE"]);
    it.restart();
    it.until_it_works().await;
    it.keep(member(1), &older).await;
    let newer = it.published(member(1)).await;
    assert_eq!(it.leave(1, &older).await, Left::Others);
    assert_eq!(it.leave(1, &newer).await, Left::Last);
}

#[tokio::test]
async fn a_claim_from_before_does_not_vouch_for_who_used_what_was_published_with_it() {
    let Some(mut it) = with_snapshots() else {
        return;
    };
    let generation = it.granted(member(1), 0).await;
    it.server().ask::<()>(&["SAVE"]);
    let publish = || {
        it.store
            .publish(it.slot, member(1), record(generation), MINUTE)
    };
    assert!(publish().await.unwrap());
    it.keep(member(2), &record(generation)).await;
    it.restart();
    it.until_it_works().await;
    let accepted = it
        .store
        .publish(it.slot, member(1), record(generation), MINUTE);
    assert!(accepted.await.unwrap(), "as one whose answer was lost");
    assert_eq!(it.leave(1, &record(generation)).await, Left::Others);
}

#[tokio::test]
async fn a_server_that_comes_back_empty_gets_everything_anew() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut it = Subject::of(server);
    let published = it.published(member(1)).await;
    it.restart();
    it.until_it_works().await;
    assert_eq!(it.current().await, None);
    assert_eq!(it.keep(member(1), &published).await, Kept::Current);
    assert_eq!(it.leave(1, &published).await, Left::Others);
    it.granted(member(2), published.generation).await;
}

#[tokio::test]
async fn a_replica_that_takes_over_and_a_master_that_takes_over_again_are_not_believed() {
    let (Some(first), Some(second)) = (Server::start(), Server::start()) else {
        return;
    };
    let lead = |server: &Server| server.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    second.follow(&first);
    let it = Subject::of(first);
    let published = it.published(member(1)).await;
    second.catch_up_with(it.server());

    // The second server takes over. Then the first follows it and takes over again. Nothing is written in between.
    lead(&second);
    it.server().follow(&second);
    lead(it.server());
    // This was written to the second server in the meantime, and is lost with it.
    let lost: RedisStore = second.store();
    lost.keep(it.slot, member(2), published.clone(), MINUTE)
        .await
        .unwrap();
    let left = lost.leave(it.slot, member(1), published.generation).await;
    assert_eq!(left.unwrap(), Left::Others, "on the replica that took over");
    drop(second);

    it.until_it_works().await;
    assert_eq!(it.current().await, Some(published.generation));
    assert_eq!(it.leave(1, &published).await, Left::Others);
    it.pass(MINUTE);
    it.keep(member(1), &published).await;
    assert_eq!(it.leave(1, &published).await, Left::Others, "nor later");
}

#[tokio::test]
async fn scripts_that_a_server_has_forgotten_are_sent_again() {
    let Some(it) = Subject::redis() else { return };
    let published = it.published(member(1)).await;
    it.server().ask::<()>(&["SCRIPT", "FLUSH"]);
    assert_eq!(it.current().await, Some(published.generation));
    assert_eq!(it.leave(1, &published).await, Left::Last);
}
