//! How many checks and deletes one API key may cost in a day.

use sipher_session::{
    Event, SessionDefaults, SessionsApi,
    api::{CreateSession, Transport},
    testing::{FakeSipher, Fault, Target, Tier, What},
};

use crate::support::{SECOND, Setup, pass};

#[tokio::test(start_paused = true)]
async fn checks_and_deletes_of_a_key_end_with_its_day_while_creates_go_on() {
    let setup = Setup::new();
    let builder = setup.builder().ttl(600 * SECOND).verify_every(60 * SECOND);
    let manager = builder.upkeep_per_day(5).build().unwrap();
    let mut events = manager.events();
    for _ in 0..6 * 120 {
        setup.call(&manager).await.unwrap();
        assert_eq!(setup.last_chain().as_deref(), Some("near"));
        pass(30.0).await;
    }
    assert_eq!(setup.gets() + setup.deletes(), 5);
    assert!(
        setup.creates() > 36,
        "one in ten minutes: {}",
        setup.creates()
    );
    let left = std::iter::from_fn(|| events.try_recv());
    let left = left
        .filter(|event| matches!(event, Event::LeftToExpire { .. }))
        .count();
    assert!(left > 30, "{left} were told of");
    assert!(manager.stats().pending_deletes <= 1);
    setup.sipher.assert_every_call_had_a_session();

    let deletes = setup.deletes();
    assert_eq!(
        manager.shutdown(5 * SECOND).await.deleted,
        1,
        "those of a shutdown go on"
    );
    assert_eq!(setup.deletes(), deletes + 1);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_lost_is_replaced_unasked_where_the_key_may_not_ask() {
    for upkeep in [0, 1] {
        let setup = Setup::new();
        setup.silence_health();
        let manager = setup.builder().upkeep_per_day(upkeep).build().unwrap();
        for lost in 0..3 {
            setup.call(&manager).await.unwrap();
            // Longer than the five minutes between two such session calls.
            pass(400.0).await;
            setup.sipher.restart();
            let gateway = Fault::new(What::Html(502)).on(Target::Calls).times(1);
            setup.sipher.fault(gateway);
            setup.call(&manager).await.unwrap();
            setup.call(&manager).await.unwrap();
            assert_eq!(setup.last_chain().as_deref(), Some("near"), "{lost}");
        }
        assert_eq!(setup.gets(), upkeep as usize);
        setup.sipher.assert_no_dead_id();
    }
}

/// A process that counted only its own calls would use up the quota that all processes of the key share.
#[tokio::test(start_paused = true)]
async fn where_others_use_up_the_keys_day_its_last_quarter_is_left_to_creates() {
    let setup = Setup::new();
    // A pro key has 2,000 session operations a day.
    use_up(&setup, 1_510).await;
    let before = (setup.creates(), setup.gets() + setup.deletes());
    let builder = setup.builder().ttl(600 * SECOND).verify_every(60 * SECOND);
    let manager = builder.upkeep_per_day(20).build().unwrap();
    for _ in 0..4 * 120 {
        setup.call(&manager).await.unwrap();
        pass(30.0).await;
    }
    let upkeep = setup.gets() + setup.deletes() - before.1;
    assert_eq!(upkeep, 2, "the server was asked with the second");
    assert!(setup.creates() - before.0 > 24, "one in ten minutes");
    setup.sipher.assert_every_call_had_a_session();

    for _ in 0..24 * 12 {
        pass(300.0).await;
        setup.call(&manager).await.unwrap();
    }
    let upkeep = setup.gets() + setup.deletes() - before.1;
    assert!(upkeep > 2, "a day later there are some again");
}

async fn use_up(setup: &Setup, calls: usize) {
    let transport = Transport::new(setup.sipher.clone());
    let api = SessionsApi::new(transport, FakeSipher::base_url(), &*setup.key).unwrap();
    let request = CreateSession::new(SessionDefaults::new());
    for _ in 0..calls / 2 {
        let session = api.create_session(&request).await.unwrap();
        api.delete_session(&session.id).await.unwrap();
        pass(1.0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_has_calls_again_before_midnight_is_checked_again() {
    for is_upgraded in [false, true] {
        let setup = Setup::new();
        use_up(&setup, 1_510).await;
        let upkeep = || setup.gets() + setup.deletes();
        let before = upkeep();
        let builder = setup.builder().ttl(600 * SECOND).verify_every(60 * SECOND);
        let manager = builder.upkeep_per_day(20).build().unwrap();
        for _ in 0..120 {
            setup.call(&manager).await.unwrap();
            pass(30.0).await;
        }
        assert_eq!(upkeep() - before, 2);
        let calls = if is_upgraded {
            setup.sipher.accept_key(&setup.key, Tier::Enterprise);
            assert!(manager.clear_holds(setup.key.as_str()));
            10
        } else {
            // The server keeps its counts in memory.
            setup.sipher.restart();
            180
        };
        for _ in 0..calls {
            drop(setup.call(&manager).await);
            pass(30.0).await;
        }
        assert!(upkeep() - before > 2, "upgraded: {is_upgraded}");
    }
}
