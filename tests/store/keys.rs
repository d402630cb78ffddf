//! The keys on the server: all are named as documented, and all expire.

use sipher_session::store::{Member, SessionStore, Slot};

use crate::{
    server::Server,
    subject::{MINUTE, Subject, member, record},
};

#[tokio::test]
async fn every_key_has_the_prefix_the_slot_between_braces_and_an_end() {
    let Some(server) = Server::start() else {
        return;
    };
    let store = server.store().prefix("somebody's").unwrap();
    let it = Subject::with(server, store);
    let mut seen = std::collections::BTreeSet::new();
    let look = |seen: &mut std::collections::BTreeSet<String>| {
        for key in it.server().keys() {
            let left: i64 = it.server().ask(&["PTTL", &key]);
            assert!(left > 0, "{key} has no end: {left}");
            let rest = key.strip_prefix(&format!("somebody's:{{{}}}:", it.slot));
            seen.insert(
                rest.unwrap_or_else(|| panic!("{key}"))
                    .split(':')
                    .next()
                    .unwrap()
                    .to_owned(),
            );
        }
    };
    let generation = it.granted(member(1), 0).await;
    look(&mut seen);
    it.store
        .release(it.slot, member(1), generation, MINUTE)
        .await
        .unwrap();
    look(&mut seen);
    it.forget_everything();
    let published = it.published(member(1)).await;
    look(&mut seen);
    it.keep(member(2), &published).await;
    look(&mut seen);
    it.leave(1, &published).await;
    look(&mut seen);
    it.store
        .revoke(it.slot, published.generation)
        .await
        .unwrap();
    look(&mut seen);
    it.keep(member(2), &record(published.generation + 1)).await;
    it.leave(2, &record(published.generation + 1)).await;
    look(&mut seen);
    let all = ["claim", "highest", "record", "revoked", "users"];
    assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>(), all);
    it.pass(48 * 60 * MINUTE);
    assert_eq!(it.server().keys(), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_merely_claimed_leaves_nothing_once_the_claim_has_ended() {
    let Some(it) = Subject::redis() else { return };
    for number in 0..100_u128 {
        let slot = Slot::parse(&format!("{number:032x}")).unwrap();
        it.store.claim(slot, member(1), 0, MINUTE).await.unwrap();
    }
    assert_eq!(
        it.server().keys().len(),
        200,
        "the claims, and their numbers"
    );
    it.pass(MINUTE);
    assert_eq!(it.server().keys(), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_published_is_remembered_for_two_days_whatever_is_claimed_after_it() {
    let Some(it) = Subject::redis() else { return };
    let published = it.published(member(1)).await;
    it.granted(member(1), published.generation).await;
    let highest = format!("sipher-session:{{{}}}:highest", it.slot);
    let left: u64 = it.server().ask(&["PTTL", &highest]);
    assert!(left > 47 * 60 * 60 * 1000, "{left}");
}

#[tokio::test]
async fn a_number_above_the_time_is_remembered_until_the_time_is_above_it() {
    let Some(it) = Subject::redis() else { return };
    let now = it.store.get(it.slot).await.unwrap().now;
    // As if the clock had since been set back by an hour.
    let after = u64::try_from((now + 60 * MINUTE).as_millis()).unwrap();
    let granted = it.granted(member(1), after).await;
    it.store
        .release(it.slot, member(1), granted, std::time::Duration::ZERO)
        .await
        .unwrap();
    it.pass(59 * MINUTE);
    assert!(it.granted(member(2), 0).await > granted);
}

#[tokio::test]
async fn stores_with_other_prefixes_share_nothing() {
    let Some(server) = Server::start() else {
        return;
    };
    let other = server.store().prefix("other").unwrap();
    let it = Subject::of(server);
    it.published(member(1)).await;
    assert_eq!(other.get(it.slot).await.unwrap().record, None);
}

/// Prints the sizes that the documentation names.
#[tokio::test]
async fn a_slot_takes_about_a_kilobyte_and_a_member_less_than_200_bytes() {
    let Some(it) = Subject::redis() else { return };
    let published = it.published(member(1)).await;
    it.granted(member(1), published.generation).await;
    it.store.revoke(it.slot, 1).await.unwrap();
    it.granted(member(1), published.generation).await;
    let size = |when: &str| -> usize {
        let sizes = it.server().keys().into_iter().map(|key| {
            let bytes: usize = it.server().ask(&["MEMORY", "USAGE", &key, "SAMPLES", "0"]);
            println!("{when}: {bytes} bytes: {key}");
            bytes
        });
        sizes.sum()
    };
    let one = size("1 member");
    assert!(one < 1024 + published.sealed.len(), "{one}");
    for members in [100, 1000] {
        for number in 0..members {
            let member = Member::parse(&format!("{number:032x}")).unwrap();
            it.keep(member, &published).await;
        }
        let more = size(&format!("{members} members")) - one;
        assert!(more < members * 200, "{more}");
    }
}
