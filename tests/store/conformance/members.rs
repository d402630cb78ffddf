//! Which processes use a record, and which one is the last, as the trait's documentation says.

use sipher_session::store::{Kept, Left};

use crate::subject::{MINUTE, member, on_each};

#[tokio::test]
async fn a_lease_that_ends_makes_nobody_the_last() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        assert_eq!(it.keep(member(2), &published).await, Kept::Current);
        it.pass(2 * MINUTE);
        assert_eq!(it.leave(1, &published).await, Left::Others, "2 may live");
        assert_eq!(it.current().await, Some(published.generation));
        assert_eq!(it.leave(3, &published).await, Left::Others, "a stranger");
    })
    .await;
}

#[tokio::test]
async fn a_member_whose_lease_has_ended_may_come_back_and_leave_by_its_own_word() {
    for comes_back in [true, false] {
        on_each(async |it| {
            let published = it.published(member(1)).await;
            it.keep(member(2), &published).await;
            it.pass(2 * MINUTE);
            if comes_back {
                assert_eq!(it.keep(member(2), &published).await, Kept::Current);
            }
            assert_eq!(it.leave(2, &published).await, Left::Others);
            assert_eq!(it.leave(1, &published).await, Left::Last);
            assert_eq!(it.leave(1, &published).await, Left::Others, "once only");
        })
        .await;
    }
}

#[tokio::test]
async fn a_step_of_the_clock_over_everything_leaves_the_session_to_expire() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        it.keep(member(2), &published).await;
        it.pass(2 * 60 * MINUTE);
        assert_eq!(it.current().await, None, "it ended by the store's clock");
        assert_eq!(it.keep(member(1), &published).await, Kept::Current);
        assert_eq!(it.leave(1, &published).await, Left::Others, "2 may live");
        assert_eq!(it.current().await, Some(published.generation));
        assert_eq!(it.keep(member(2), &published).await, Kept::Current);
        assert_eq!(it.leave(2, &published).await, Left::Others);
        let next = it.published(member(2)).await;
        assert_eq!(it.leave(2, &next).await, Left::Last, "a new generation");
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
async fn nobody_is_ever_the_last_of_a_generation_whose_members_may_have_been_forgotten() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        it.keep(member(2), &published).await;
        it.forget_everything();
        assert_eq!(it.leave(1, &published).await, Left::Others, "none is known");
        it.keep(member(1), &published).await;
        assert_eq!(it.leave(1, &published).await, Left::Others);
        assert_eq!(it.current().await, Some(published.generation));
        it.pass(2 * MINUTE);
        it.keep(member(1), &published).await;
        assert_eq!(it.leave(1, &published).await, Left::Others, "nor later");
    })
    .await;
}

#[tokio::test]
async fn a_publish_that_is_repeated_after_its_members_were_forgotten_does_not_vouch_for_them() {
    on_each(async |it| {
        let published = it.published(member(1)).await;
        it.keep(member(2), &published).await;
        it.forget_everything();
        it.keep(member(1), &published).await;
        let again = it
            .store
            .publish(it.slot, member(1), published.clone(), MINUTE);
        assert!(again.await.unwrap());
        assert_eq!(it.leave(1, &published).await, Left::Others);
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
