//! Which process may create the next session of a slot, sentence by sentence of the trait's documentation.

use std::time::Duration;

use sipher_session::store::Claim;

use crate::subject::{MINUTE, member, on_each, record};

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
async fn publishing_gives_the_right_back() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        it.granted(member(2), published.generation).await;
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_is_released_is_granted_at_once_or_to_nobody_before_the_pause_is_over() {
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
async fn a_claim_of_another_process_or_on_another_generation_is_not_released() {
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
