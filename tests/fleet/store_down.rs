//! A store that is down, or that has forgotten everything.

use std::time::Duration;

use sipher_session::{ErrorKind, Event, OnStoreDown, SessionManagerBuilder};

use crate::{
    flaky::Trouble,
    processes::Fleet,
    support::{SECOND, ours, pass},
};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn while_the_store_is_down_requests_go_on_with_the_session_at_hand() {
    let mut fleet = Fleet::new();
    let mut processes = fleet.start_many(5);
    let before = fleet.call(&processes).await;
    for process in &processes {
        process.store.cut();
    }
    fleet.work(&processes, 3 * MINUTE, SECOND).await;
    assert_eq!(fleet.call(&processes).await, before);
    for process in &processes {
        process.store.mend();
    }
    fleet.work(&processes, 10 * MINUTE, SECOND).await;
    assert_eq!(fleet.call(&processes).await, before);
    assert_eq!(fleet.setup.creates(), 1);
    for process in &mut processes {
        let events = process.events();
        let down = events
            .iter()
            .filter(|event| matches!(event, Event::StoreDown { .. }));
        let up = events
            .iter()
            .filter(|event| matches!(event, Event::StoreUp));
        assert_eq!((down.count(), up.count()), (1, 1), "once each: {events:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_when_a_renewal_is_due_makes_nobody_renew_alone() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(5);
    let before = fleet.call(&processes).await;
    pass(3000.0).await;
    for process in &processes {
        process.store.cut();
    }
    fleet.work(&processes, 2 * MINUTE, SECOND).await;
    assert_eq!(fleet.call(&processes).await, before);
    assert_eq!(fleet.setup.creates(), 1);
    for process in &processes {
        process.store.mend();
    }
    fleet.work(&processes, MINUTE, SECOND).await;
    assert_eq!(fleet.call(&processes).await.len(), 1);
    assert_eq!(fleet.setup.creates(), 2);
}

#[tokio::test(start_paused = true)]
async fn after_that_each_process_makes_one_of_its_own_and_they_converge_once_the_store_is_back() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(5);
    fleet.call(&processes).await;
    for process in &processes {
        process.store.cut();
    }
    fleet.work(&processes, 20 * MINUTE, SECOND).await;
    let ids = fleet.call(&processes).await;
    assert_eq!(ids.len(), 5, "each its own");
    assert_eq!(fleet.setup.creates(), 1 + 5);
    for process in &processes {
        process.store.mend();
    }
    fleet.work(&processes, MINUTE, SECOND).await;
    assert_eq!(fleet.call(&processes).await.len(), 1);
    assert_eq!(fleet.setup.creates(), 1 + 5, "nothing new for that");
    pass(60.0).await;
    let live = fleet.setup.sipher.live_sessions();
    assert!(
        live <= 2,
        "{live}: the others are deleted, or the first one left to expire"
    );
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_session_of_ones_own_is_renewed_in_the_background_though_the_store_is_down() {
    let mut fleet = Fleet::new();
    let mut processes = vec![fleet.start()];
    fleet.call(&processes).await;
    processes[0].store.cut();
    fleet.work(&processes, 90 * MINUTE, SECOND).await;
    assert_eq!(fleet.setup.creates(), 1 + 2);
    let events = processes[0].events();
    let failed = |event: &&Event| matches!(event, Event::RenewalFailed { .. });
    let failed = events.iter().find(failed);
    assert!(failed.is_none(), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn with_fail_no_session_is_made_without_the_store() {
    let mut fleet = Fleet::new();
    let process = fleet.start_with(|builder| builder.on_store_down(OnStoreDown::Fail));
    process.store.cut();
    let error = fleet.setup.call(&process.manager).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Store);
    assert!(ours(&error).is_transient());
    assert_eq!(fleet.setup.sipher.session_calls(), 0);
    process.store.mend();
    fleet.setup.call(&process.manager).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_flushed_gets_its_records_back() {
    let mut fleet = Fleet::new();
    let mut processes = fleet.start_many(5);
    let before = fleet.call(&processes).await;
    for _ in 0..10 {
        fleet.store.clear();
        fleet.work(&processes, MINUTE, SECOND).await;
        processes.push(fleet.start());
        assert_eq!(fleet.call(&processes).await, before);
    }
    assert_eq!(fleet.setup.creates(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_publication_was_not_confirmed_is_not_deleted_under_the_others() {
    let mut fleet = Fleet::new();
    let first = fleet.start();
    fleet.setup.sipher.set_latency(2 * SECOND);
    let manager = first.manager.clone();
    let call = tokio::spawn(async move { manager.session().await.map(drop) });
    pass(1.0).await;
    first.store.set(Trouble {
        loses_answers: true,
        ..Trouble::default()
    });
    call.await.unwrap().unwrap();
    let others = fleet.start_many(1);
    let ids = fleet.call(&others).await;
    assert_eq!(fleet.setup.creates(), 1);
    let report = first.shutdown().await;
    assert_eq!(report.deleted, 0, "{report}");
    assert_eq!(fleet.call(&others).await, ids);
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_holds_a_request_up_for_a_bounded_time() {
    let mut fleet = Fleet::new();
    let process = fleet.start();
    process.store.set(Trouble {
        delay: 100_000 * SECOND,
        ..Trouble::default()
    });
    fleet.setup.call(&process.manager).await.unwrap();
    let report = process.shutdown().await;
    assert_eq!(report.deleted, 1, "it was nobody else's: {report}");
}

#[tokio::test(start_paused = true)]
async fn what_is_said_of_a_session_reaches_the_others_though_nothing_is_told() {
    for is_mute in [false, true] {
        let mut fleet = Fleet::new();
        let processes = fleet.start_many(4);
        for process in &processes {
            process.store.set(Trouble {
                is_mute,
                ..Trouble::default()
            });
        }
        let before = fleet.call(&processes).await;
        let session = processes[0].manager.session().await.unwrap();
        processes[0].manager.invalidate(session.generation());
        fleet.call(&processes[..1]).await;
        pass(if is_mute { 16.0 } else { 0.1 }).await;
        let after = fleet.call(&processes).await;
        assert_eq!(after.len(), 1);
        assert_ne!(after, before);
        assert_eq!(fleet.setup.creates(), 2);
        fleet.setup.sipher.assert_every_call_had_a_session();
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_invalidated_is_put_back_by_nobody_though_there_is_no_successor() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    let before = fleet.call(&processes).await;
    let session = processes[0].manager.session().await.unwrap();
    processes[0].manager.invalidate(session.generation());
    pass(16.0).await;
    assert_ne!(fleet.call(&processes[1..]).await, before);
    assert_eq!(fleet.call(&processes).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_older_session_of_ones_own_does_not_take_the_place_of_the_fleets() {
    let mut fleet = Fleet::new();
    let process = [fleet.start_with(SessionManagerBuilder::verify_adopted)];
    process[0].store.cut();
    fleet.call(&process).await;
    pass(1500.0).await;
    let others = fleet.start_many(2);
    let ids = fleet.call(&others).await;
    process[0].store.mend();
    pass(1500.0).await;
    // The renewal of the process's own session is due. The process finds the fleet's session, and asks the server about
    // it.
    fleet.setup.sipher.set_latency(2 * SECOND);
    process[0].manager.session().await.unwrap();
    pass(0.5).await;
    // In the meantime, the store announces a change of the slot, so the process reads the slot.
    others[1].shutdown().await;
    pass(10.0).await;
    fleet.setup.sipher.set_latency(Duration::ZERO);
    assert_eq!(fleet.call(&process).await, ids);
    assert_eq!(fleet.call(&others[..1]).await, ids);
    assert_eq!(fleet.setup.creates(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_accepts_nothing_holds_nobody_up_and_costs_few_creates() {
    let mut fleet = Fleet::new();
    let process = fleet.start();
    process.store.set(Trouble {
        refuses: true,
        ..Trouble::default()
    });
    fleet.setup.call(&process.manager).await.unwrap();
    for _ in 0..1_200 {
        pass(1.0).await;
        let started = tokio::time::Instant::now();
        fleet.setup.call(&process.manager).await.unwrap();
        assert!(started.elapsed() < SECOND);
    }
    let creates = fleet.setup.creates();
    assert!(creates <= 60, "{creates}");
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_reads_alone_counts_as_down_once() {
    let mut fleet = Fleet::new();
    let mut processes = fleet.start_many(1);
    processes[0].store.set(Trouble {
        is_read_only: true,
        ..Trouble::default()
    });
    // The process has a session of its own. At each look it reads whether the fleet has another session, and then tries
    // to claim, which fails.
    fleet.work(&processes, 5 * MINUTE, SECOND).await;
    processes[0].store.mend();
    fleet.work(&processes, MINUTE, SECOND).await;
    let events = processes[0].events();
    let said = |event: &&Event| matches!(event, Event::StoreDown { .. } | Event::StoreUp);
    let said: Vec<_> = events.iter().filter(said).collect();
    assert!(
        matches!(said[..], [Event::StoreDown { .. }, Event::StoreUp]),
        "{} times",
        said.len()
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_says_for_how_long_it_is_used_without_the_store() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    fleet.call(&processes).await;
    let session = processes[0].manager.session().await.unwrap();
    let renewal_in = session.renewal_in();
    assert!(
        session.usable_for() <= 5 * MINUTE,
        "{:?}",
        session.usable_for()
    );
    assert!(
        renewal_in > 30 * MINUTE,
        "the lease goes on: {renewal_in:?}"
    );
    processes[0].store.cut();
    // For as long as the session is used, it never claims to be usable for longer than it is.
    let mut said = Vec::new();
    for second in 0..600_u32 {
        let now = processes[0].manager.session().await.unwrap();
        if now.generation() != session.generation() {
            break;
        }
        said.push(second * SECOND + session.usable_for());
        pass(1.0).await;
    }
    let over = u32::try_from(said.len()).unwrap() * SECOND;
    assert!((MINUTE..10 * MINUTE).contains(&over), "{over:?}");
    let longest = said.iter().max().unwrap();
    assert!(
        longest.abs_diff(over) <= 2 * SECOND,
        "{longest:?}, {over:?}"
    );
    assert_eq!(session.usable_for(), Duration::ZERO);
}
