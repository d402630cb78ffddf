//! Who uses a record, and who is the last to, as the trait's documentation says it.

use sipher_session::store::{Kept, Left};

use crate::subject::{MINUTE, member, on_each};

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
