//! How records are published, found, lost and revoked, as the trait's documentation says.

use std::time::Duration;

use sipher_session::store::{Claim, Kept, Left, Record};

use crate::subject::{MINUTE, member, on_each, record};

#[tokio::test]
async fn an_empty_slot_has_no_record_and_its_time_is_the_stores() {
    on_each(async |it| {
        let first = it.store.get(it.slot).await.unwrap();
        assert_eq!(first.record, None);
        it.store.claim(it.slot, member(1), 0, MINUTE).await.unwrap();
        assert!(it.store.get(it.slot).await.unwrap().now >= first.now);
        assert!(first.now.as_secs() > 1_700_000_000, "since 1970: {first:?}");
    })
    .await;
}

#[tokio::test]
async fn what_was_published_is_found_as_it_was_and_goes_when_its_time_is_over() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        let found = it.store.get(it.slot).await.unwrap().record.unwrap();
        assert_eq!(
            (found.generation, &found.sealed),
            (published.generation, &published.sealed)
        );
        assert!(found.left <= published.left && !found.left.is_zero());
        it.pass(30 * MINUTE);
        let later = it.store.get(it.slot).await.unwrap().record.unwrap();
        assert!(later.left <= 30 * MINUTE, "{later:?}");
        it.pass(30 * MINUTE);
        assert_eq!(it.current().await, None);
    })
    .await;
}

#[tokio::test]
async fn a_publish_that_is_repeated_is_accepted_again_and_one_of_another_record_is_not() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        let again = it
            .store
            .publish(it.slot, member(1), published.clone(), MINUTE);
        assert!(again.await.unwrap());
        let mut other = published.clone();
        other.sealed = "other".into();
        assert!(
            !it.store
                .publish(it.slot, member(1), other, MINUTE)
                .await
                .unwrap()
        );
        let left = it
            .store
            .leave(it.slot, member(1), published.generation)
            .await;
        assert_eq!(left.unwrap(), Left::Last);
        let late = it.store.publish(it.slot, member(1), published, MINUTE);
        assert!(!late.await.unwrap(), "it has been revoked");
    })
    .await;
}

#[tokio::test]
async fn a_record_that_was_lost_is_put_back_and_is_not_granted_again() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        it.forget_everything();
        assert_eq!(it.keep(member(2), &published).await, Kept::Current);
        let found = it.store.get(it.slot).await.unwrap().record.unwrap();
        assert_eq!(
            (found.generation, &found.sealed),
            (published.generation, &published.sealed)
        );
        assert!(it.granted(member(3), published.generation).await > published.generation);
    })
    .await;
}

#[tokio::test]
async fn a_lost_record_with_no_time_left_is_not_put_back() {
    on_each(async |it| {
        let mut published = it.published(member(1)).await;
        it.forget_everything();
        published.left = Duration::ZERO;
        assert_eq!(it.keep(member(2), &published).await, Kept::Gone);
        assert_eq!(it.current().await, None);
    })
    .await;
}

#[tokio::test]
async fn another_record_with_the_same_generation_is_not_the_current_one() {
    on_each(async |it| {
        let current = it.published(member(1)).await;
        for left in [Duration::ZERO, MINUTE] {
            let other = Record {
                sealed: "other".into(),
                left,
                ..current.clone()
            };
            let Kept::Newer(found) = it.keep(member(2), &other).await else {
                panic!("it is another one")
            };
            assert_eq!(found.record.unwrap().sealed, current.sealed);
        }
        assert_eq!(it.keep(member(1), &current).await, Kept::Current);
        let last = it.leave(1, &current).await;
        assert_eq!(last, Left::Last, "nobody else uses the current one");
    })
    .await;
}

#[tokio::test]
async fn what_was_revoked_is_taken_up_by_nobody_and_what_is_newer_stays() {
    on_each(async |it| {
        let older = it.published(member(1)).await;
        it.store.revoke(it.slot, older.generation).await.unwrap();
        assert_eq!(it.current().await, None);
        assert_eq!(it.keep(member(1), &older).await, Kept::Revoked);
        let newer = it.published(member(1)).await;
        it.store.revoke(it.slot, older.generation).await.unwrap();
        assert_eq!(it.current().await, Some(newer.generation));
        it.store
            .revoke(it.slot, newer.generation + 1)
            .await
            .unwrap();
        assert_eq!(it.current().await, None, "an older one is meant as well");
    })
    .await;
}

#[tokio::test]
async fn what_was_revoked_is_known_for_a_day() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        it.store
            .revoke(it.slot, published.generation)
            .await
            .unwrap();
        it.pass(24 * 60 * MINUTE);
        assert_eq!(it.keep(member(1), &published).await, Kept::Revoked);
    })
    .await;
}

#[tokio::test]
async fn times_of_no_and_of_any_length_are_taken() {
    on_each(async |it| {
        for time in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            let claim = it.store.claim(it.slot, member(1), 0, time).await.unwrap();
            let Claim::Granted { generation, .. } = claim else {
                panic!("{claim:?}")
            };
            let mut long = record(generation);
            long.left = time;
            it.store
                .publish(it.slot, member(1), long.clone(), time)
                .await
                .unwrap();
            it.store.keep(it.slot, member(1), long, time).await.unwrap();
            it.store
                .release(it.slot, member(1), generation, time)
                .await
                .unwrap();
            it.store.revoke(it.slot, generation).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn whoever_listens_hears_of_what_is_published_released_and_revoked() {
    on_each(async |it| {
        let mut changes = it.store.changes();
        // A store that has to connect first announces that anything may have changed.
        let generation = it.granted(member(1), 0).await;
        loop {
            let released = it
                .store
                .release(it.slot, member(1), generation, Duration::ZERO);
            released.await.unwrap();
            it.store.claim(it.slot, member(1), 0, MINUTE).await.unwrap();
            let heard = tokio::time::timeout(Duration::from_millis(50), changes.next());
            if heard.await.is_ok() {
                break;
            }
        }
        let generation = it.granted(member(1), 0).await;
        it.store
            .release(it.slot, member(1), generation, Duration::ZERO)
            .await
            .unwrap();
        heard(&mut changes, it.slot).await;
        let published = it.published(member(1)).await;
        heard(&mut changes, it.slot).await;
        it.store
            .revoke(it.slot, published.generation)
            .await
            .unwrap();
        heard(&mut changes, it.slot).await;
    })
    .await;
}

async fn heard(changes: &mut sipher_session::store::Changes, slot: sipher_session::store::Slot) {
    while changes.next().await != Some(slot) {}
}
