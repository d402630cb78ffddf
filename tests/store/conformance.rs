//! What the trait's documentation says, sentence by sentence.

use std::time::Duration;

use sipher_session::store::{Claim, Kept, Left};

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
async fn a_grant_is_above_what_is_asked_for_above_every_grant_and_above_what_was_revoked() {
    on_each(async |it| {
        let mut highest = 0;
        for after in [0, 0, 1 << 52, (1 << 53) + 1, 9_999_999_999_999_999_999] {
            let granted = it.granted(member(1), after).await;
            assert!(
                granted > highest && granted > after,
                "{granted} after {after}"
            );
            highest = granted;
        }
        let revoked = highest + 10;
        it.store.revoke(it.slot, revoked).await.unwrap();
        assert!(it.granted(member(2), 0).await > revoked);
    })
    .await;
}

#[tokio::test]
async fn a_grant_goes_no_higher_than_64_bits() {
    on_each(async |it| {
        for after in [u64::MAX - 1, u64::MAX, 0] {
            assert_eq!(it.granted(member(1), after).await, u64::MAX);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_granted_after_everything_was_forgotten_is_above_what_was_before() {
    on_each(async |it| {
        let before = it.granted(member(1), 0).await;
        it.forget_everything();
        while u128::from(before) >= it.store.get(it.slot).await.unwrap().now.as_millis() {
            it.pass(Duration::from_millis(1));
        }
        assert!(it.granted(member(2), 0).await > before);
    })
    .await;
}

#[tokio::test]
async fn the_right_is_one_members_until_its_lease_ends_and_granted_anew_to_that_member() {
    on_each(async |it| {
        let first = it.granted(member(1), 0).await;
        let other = it.store.claim(it.slot, member(2), 0, MINUTE).await.unwrap();
        let Claim::Held { left } = other else {
            panic!("{other:?}")
        };
        assert!(left <= MINUTE && !left.is_zero());
        assert!(it.granted(member(1), 0).await > first);
        it.pass(MINUTE);
        it.granted(member(2), 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_claim_finds_what_is_newer_than_what_it_knows_and_is_granted_after_the_newest() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        let claim = it
            .store
            .claim(it.slot, member(2), published.generation - 1, MINUTE);
        let Claim::Published(found) = claim.await.unwrap() else {
            panic!("not found")
        };
        assert_eq!(found.record.unwrap().sealed, published.sealed);
        it.granted(member(2), published.generation).await;
    })
    .await;
}

#[tokio::test]
async fn only_who_holds_the_right_to_a_generation_publishes_it() {
    on_each(async |it| {
        let older = it.granted(member(1), 0).await;
        let generation = it.granted(member(1), 0).await;
        for (by, generation) in [(2, generation), (1, older), (1, generation + 1)] {
            let accepted = it
                .store
                .publish(it.slot, member(by), record(generation), MINUTE);
            assert!(!accepted.await.unwrap(), "by {by}, {generation}");
        }
        assert_eq!(it.current().await, None);
        it.pass(MINUTE);
        let late = it
            .store
            .publish(it.slot, member(1), record(generation), MINUTE);
        assert!(!late.await.unwrap(), "its lease has ended");
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
async fn publishing_gives_the_right_back() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        it.granted(member(2), published.generation).await;
    })
    .await;
}

#[tokio::test]
async fn a_right_that_is_given_back_is_granted_at_once_or_to_nobody_before_the_pause_is_over() {
    on_each(async |it| {
        let generation = it.granted(member(1), 0).await;
        it.store
            .release(it.slot, member(1), generation, Duration::ZERO)
            .await
            .unwrap();
        let generation = it.granted(member(2), 0).await;
        it.store
            .release(it.slot, member(2), generation, MINUTE)
            .await
            .unwrap();
        for number in [1, 2] {
            let claim = it.store.claim(it.slot, member(number), 0, MINUTE).await;
            assert!(matches!(claim.unwrap(), Claim::Held { .. }), "{number}");
        }
        it.pass(MINUTE);
        it.granted(member(1), 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_right_that_is_anothers_or_to_another_generation_is_not_given_back() {
    on_each(async |it| {
        let generation = it.granted(member(1), 0).await;
        let (slot, none) = (it.slot, Duration::ZERO);
        it.store
            .release(slot, member(2), generation, none)
            .await
            .unwrap();
        it.store
            .release(slot, member(1), generation - 1, none)
            .await
            .unwrap();
        let claim = it.store.claim(slot, member(2), 0, MINUTE).await.unwrap();
        assert!(matches!(claim, Claim::Held { .. }), "{claim:?}");
    })
    .await;
}

#[tokio::test]
async fn who_keeps_the_current_record_uses_it_until_its_lease_ends() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        assert_eq!(it.keep(member(2), &published).await, Kept::Current);
        let leave = |number| {
            it.store
                .leave(it.slot, member(number), published.generation)
        };
        assert_eq!(leave(1).await.unwrap(), Left::Others);
        it.pass(MINUTE);
        assert_eq!(
            leave(3).await.unwrap(),
            Left::Last,
            "nobody keeps it any more"
        );
        assert_eq!(leave(3).await.unwrap(), Left::Others, "there is one last");
    })
    .await;
}

#[tokio::test]
async fn who_keeps_an_older_record_is_told_of_the_newer_and_still_uses_the_older() {
    on_each(async |it| {
        let older = it.published(member(1)).await;
        let newer = it.published(member(2)).await;
        assert_ne!(older.generation, newer.generation);
        let Kept::Newer(found) = it.keep(member(1), &older).await else {
            panic!("not told")
        };
        assert_eq!(found.record.unwrap().sealed, newer.sealed);
        let left = it
            .store
            .leave(it.slot, member(3), older.generation)
            .await
            .unwrap();
        assert_eq!(left, Left::Others);
        assert_eq!(it.current().await, Some(newer.generation));
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
async fn nobody_is_the_last_until_every_lease_that_may_have_been_forgotten_has_ended() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        it.keep(member(2), &published).await;
        it.forget_everything();
        let leave = |number| {
            it.store
                .leave(it.slot, member(number), published.generation)
        };
        assert_eq!(leave(1).await.unwrap(), Left::Others, "nothing is known");
        it.keep(member(1), &published).await;
        assert_eq!(
            leave(1).await.unwrap(),
            Left::Others,
            "the other may still use it"
        );
        assert_eq!(it.current().await, Some(published.generation));
        it.pass(MINUTE);
        assert_eq!(leave(1).await.unwrap(), Left::Last);
    })
    .await;
}

#[tokio::test]
async fn when_the_last_one_leaves_the_generation_is_revoked_in_the_same_step() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        it.keep(member(2), &published).await;
        let leave = |number| {
            it.store
                .leave(it.slot, member(number), published.generation)
        };
        assert_eq!(leave(1).await.unwrap(), Left::Others);
        assert_eq!(it.current().await, Some(published.generation));
        assert_eq!(leave(2).await.unwrap(), Left::Last);
        assert_eq!(it.current().await, None);
        assert_eq!(it.keep(member(3), &published).await, Kept::Revoked);
        assert_eq!(it.current().await, None);
        assert!(it.granted(member(3), 0).await > published.generation);
    })
    .await;
}

#[tokio::test]
async fn leaving_an_older_generation_takes_nothing_from_a_newer_one() {
    on_each(async |it| {
        let older = it.published(member(1)).await;
        let newer = it.published(member(1)).await;
        let left = it.store.leave(it.slot, member(1), older.generation).await;
        assert_eq!(left.unwrap(), Left::Last);
        assert_eq!(it.current().await, Some(newer.generation));
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
async fn revoking_takes_the_right_the_first_time_and_not_again() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        let claimed = it.granted(member(1), published.generation).await;
        it.store
            .revoke(it.slot, published.generation)
            .await
            .unwrap();
        let late = it
            .store
            .publish(it.slot, member(1), record(claimed), MINUTE);
        assert!(!late.await.unwrap());
        it.granted(member(2), published.generation).await;
        it.store
            .revoke(it.slot, published.generation)
            .await
            .unwrap();
        let claim = it.store.claim(it.slot, member(3), 0, MINUTE).await.unwrap();
        assert!(matches!(claim, Claim::Held { .. }), "{claim:?}");
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
        // A store that has to connect says first that anything may have changed.
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
