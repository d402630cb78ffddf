//! A process starts with the current defaults of its group, and reads them again after an idle time.

use std::time::Duration;

use sipher_session::{
    Chain, ErrorKind, OnStoreDown, PrivacyLevel, SessionDefaults, SessionLayer, SessionManager,
};
use tower::{Layer, ServiceExt};

use crate::{
    flaky::Trouble,
    processes::{Fleet, Process},
    support::{SECOND, generate, ours, pass},
};

fn chain(chain: Chain) -> SessionDefaults {
    SessionDefaults::new().chain(chain)
}

fn level(level: PrivacyLevel) -> SessionDefaults {
    SessionDefaults::new().privacy_level(level)
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_begins_with_what_the_others_have_now() {
    let mut fleet = Fleet::new();
    let first = fleet.start_many(1);
    fleet.call(&first).await;
    first[0]
        .manager
        .update_defaults(chain(Chain::Sui))
        .await
        .unwrap();
    pass(1.0).await;
    let creates = fleet.setup.creates();
    let later = fleet.start_many(3);
    fleet.call(&later[..1]).await;
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("sui"));
    let session = later[1].manager.session().await.unwrap();
    assert_eq!(session.defaults().chain, Some(Chain::Sui));
    // A process that has just started changes one field. The other fields keep their values.
    let change = later[2]
        .manager
        .update_defaults(level(PrivacyLevel::Maximum));
    change.await.unwrap();
    let both = level(PrivacyLevel::Maximum).chain(Chain::Sui);
    assert_eq!(later[2].manager.defaults(), both);
    assert_eq!(fleet.setup.creates(), creates + 1, "for that change alone");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_steps_makes_no_newcomer_follow_what_is_not_current() {
    for forward in [true, false] {
        let mut fleet = Fleet::new();
        let processes = fleet.start_many(1);
        fleet.call(&processes).await;
        let change = |to| processes[0].manager.update_defaults(chain(to));
        change(Chain::Sui).await.unwrap();
        pass(60.0).await;
        change(Chain::Near).await.unwrap();
        pass(1.0).await;
        if forward {
            fleet.setup.clock.suspend(1_800 * SECOND);
        } else {
            fleet.setup.clock.set_back(1_800 * SECOND);
        }
        let later = fleet.start_many(1);
        for _ in 0..3 {
            fleet.call(&later).await;
            assert_eq!(fleet.setup.last_chain().as_deref(), Some("near"));
            pass(20.0).await;
        }
        // A process that knows of a change makes a later one, whatever the clock says.
        later[0]
            .manager
            .update_defaults(chain(Chain::Base))
            .await
            .unwrap();
        fleet.work(&processes, 60 * SECOND, SECOND).await;
        assert_eq!(processes[0].manager.defaults(), chain(Chain::Base));
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_look_is_one_step_for_all_who_wait_and_for_the_managers_own_defaults_only() {
    let mut fleet = Fleet::new();
    let first = fleet.start_many(1);
    fleet.call(&first).await;
    let process = fleet.start();
    process.store.set(Trouble {
        delay: SECOND,
        ..Trouble::default()
    });
    let look = async {
        pass(1.5).await;
        process.store.gets()
    };
    let (outcomes, looks) = tokio::join!(all_at_once(&fleet, &process.manager, 20), look);
    assert_eq!(looks, 1);
    for outcome in outcomes {
        outcome.unwrap();
    }

    // A layer with defaults of its own does not wait for the look.
    let process = fleet.start();
    process.store.set(Trouble {
        delay: SECOND,
        ..Trouble::default()
    });
    let layer = SessionLayer::new(process.manager.clone()).defaults(chain(Chain::Sui));
    let service = layer.layer(fleet.setup.sipher.clone());
    let look = async {
        pass(0.5).await;
        process.store.gets()
    };
    let (outcome, looks) = tokio::join!(service.oneshot(generate()), look);
    outcome.unwrap();
    assert_eq!(looks, 0);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_look_goes_on_with_what_it_was_built_with_and_follows_once_the_store_is_back() {
    for trouble in [
        Trouble {
            is_cut: true,
            ..Trouble::default()
        },
        Trouble {
            delay: 100_000 * SECOND,
            ..Trouble::default()
        },
    ] {
        let mut fleet = Fleet::new();
        let first = fleet.start_many(1);
        fleet.call(&first).await;
        first[0]
            .manager
            .update_defaults(chain(Chain::Sui))
            .await
            .unwrap();
        let later = fleet.start_many(1);
        later[0].store.set(trouble);
        fleet.call(&later).await;
        assert_eq!(fleet.setup.last_chain().as_deref(), Some("near"));
        later[0].store.mend();
        pass(20.0).await;
        fleet.call(&later).await;
        assert_eq!(fleet.setup.last_chain().as_deref(), Some("sui"));
    }
}

#[tokio::test(start_paused = true)]
async fn with_fail_nobody_gets_a_session_before_the_first_look() {
    let mut fleet = Fleet::new();
    let first = fleet.start_many(1);
    fleet.call(&first).await;
    first[0]
        .manager
        .update_defaults(chain(Chain::Sui))
        .await
        .unwrap();
    let later = fleet.start_with(|builder| builder.on_store_down(OnStoreDown::Fail));
    later.store.cut();
    let creates = fleet.setup.creates();
    for outcome in all_at_once(&fleet, &later.manager, 10).await {
        assert_eq!(outcome.unwrap_err(), ErrorKind::Store);
    }
    let change = later.manager.update_defaults(chain(Chain::Base)).await;
    assert_eq!(change.unwrap_err().kind(), ErrorKind::Store);
    assert_eq!(fleet.setup.creates(), creates);
    later.store.mend();
    fleet.setup.call(&later.manager).await.unwrap();
    assert_eq!(
        fleet.setup.last_chain().as_deref(),
        Some("sui"),
        "nothing was changed"
    );
}

/// Two processes of a group. The second one has neither a session nor a heartbeat any more. The first one has changed
/// the defaults in the meantime.
async fn after_an_idle_time(on_store_down: OnStoreDown) -> (Fleet, Process) {
    let mut fleet = Fleet::new();
    let first = fleet.start_many(1);
    let idle = fleet.start_with(|builder| builder.ttl(60 * SECOND).on_store_down(on_store_down));
    fleet.setup.call(&idle.manager).await.unwrap();
    pass(120.0).await;
    let looks = idle.store.gets();
    let change = first[0].manager.update_defaults(chain(Chain::Sui));
    change.await.unwrap();
    pass(60.0).await;
    assert_eq!(idle.store.gets(), looks, "there is no heartbeat");
    assert_eq!(idle.manager.defaults(), chain(Chain::Near));
    (fleet, idle)
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_idle_looks_before_its_next_request_is_given_a_session() {
    let (fleet, idle) = after_an_idle_time(OnStoreDown::OwnSession).await;
    let creates = fleet.setup.creates();
    fleet.setup.call(&idle.manager).await.unwrap();
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("sui"));
    assert_eq!(fleet.setup.creates(), creates, "the group has one");

    // A caller that wants the session makes the process look as well. So does a change of another field.
    let (_fleet, idle) = after_an_idle_time(OnStoreDown::OwnSession).await;
    let session = idle.manager.session().await.unwrap();
    assert_eq!(session.defaults().chain, Some(Chain::Sui));
    let (_fleet, idle) = after_an_idle_time(OnStoreDown::OwnSession).await;
    let change = idle.manager.update_defaults(level(PrivacyLevel::Maximum));
    change.await.unwrap();
    let both = level(PrivacyLevel::Maximum).chain(Chain::Sui);
    assert_eq!(idle.manager.defaults(), both);
}

#[tokio::test(start_paused = true)]
async fn the_look_after_an_idle_time_is_one_step_for_all_who_wait() {
    let (fleet, idle) = after_an_idle_time(OnStoreDown::OwnSession).await;
    idle.store.set(Trouble {
        delay: SECOND,
        ..Trouble::default()
    });
    let before = idle.store.gets();
    let look = async {
        pass(0.9).await;
        idle.store.gets() - before
    };
    let (outcomes, looks) = tokio::join!(all_at_once(&fleet, &idle.manager, 20), look);
    assert_eq!(looks, 1);
    for outcome in outcomes {
        outcome.unwrap();
    }
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("sui"));
}

#[tokio::test(start_paused = true)]
async fn without_the_store_an_idle_process_goes_on_or_fails_as_was_chosen() {
    let (fleet, idle) = after_an_idle_time(OnStoreDown::OwnSession).await;
    idle.store.cut();
    fleet.setup.call(&idle.manager).await.unwrap();
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("near"));
    idle.store.mend();
    pass(20.0).await;
    fleet.setup.call(&idle.manager).await.unwrap();
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("sui"));

    let (fleet, idle) = after_an_idle_time(OnStoreDown::Fail).await;
    idle.store.cut();
    let failed = fleet.setup.call(&idle.manager).await.unwrap_err();
    assert_eq!(ours(&failed).kind(), ErrorKind::Store);
    idle.store.mend();
    fleet.setup.call(&idle.manager).await.unwrap();
    assert_eq!(fleet.setup.last_chain().as_deref(), Some("sui"));
}

#[tokio::test(start_paused = true)]
async fn who_has_a_session_or_has_just_looked_does_not_look() {
    let mut fleet = Fleet::new();
    // A question about the server's health would also take time, so it is postponed.
    let process = fleet.start_with(|builder| builder.verify_after(3_600 * SECOND));
    fleet.setup.call(&process.manager).await.unwrap();
    process.store.set(Trouble {
        delay: 100_000 * SECOND,
        ..Trouble::default()
    });
    pass(60.0).await;
    // A hit never waits, however long ago the last look was.
    let start = tokio::time::Instant::now();
    fleet.setup.call(&process.manager).await.unwrap();
    let session = process.manager.session().await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);

    process.store.mend();
    pass(20.0).await;
    let looks = process.store.gets();
    assert!(process.manager.invalidate(session.generation()));
    fleet.setup.call(&process.manager).await.unwrap();
    assert_eq!(process.store.gets(), looks);
}

/// Sends requests at once, together with callers that want the session itself.
async fn all_at_once(
    fleet: &Fleet,
    manager: &SessionManager,
    count: usize,
) -> Vec<Result<(), ErrorKind>> {
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..count {
        let manager = manager.clone();
        let service = fleet.setup.service(&manager);
        tasks.spawn(async move {
            if number % 2 == 0 {
                let called = service.oneshot(generate()).await;
                called.map(drop).map_err(|error| ours(&error).kind())
            } else {
                let session = manager.session().await;
                session.map(drop).map_err(|error| error.kind())
            }
        });
    }
    tasks.join_all().await
}

#[tokio::test(start_paused = true)]
async fn a_look_that_hangs_leaves_half_of_max_wait_for_the_session() {
    let mut fleet = Fleet::new();
    let process = fleet.start_with(|builder| builder.max_wait(4 * SECOND));
    process.store.set(Trouble {
        delay: 100_000 * SECOND,
        ..Trouble::default()
    });
    let mend = async {
        pass(1.9).await;
        process.store.mend();
    };
    let (called, ()) = tokio::join!(fleet.setup.call(&process.manager), mend);
    called.unwrap();
}
