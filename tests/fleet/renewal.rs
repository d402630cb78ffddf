//! A fleet makes one create for each session.

use std::time::Duration;

use sipher_session::{
    ErrorKind, Event, SessionManagerBuilder,
    testing::{Fault, Target, What},
};

use crate::{
    flaky::Trouble,
    processes::Fleet,
    support::{SECOND, pass},
};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn whoever_comes_first_makes_the_session_and_the_others_take_it_up() {
    let mut fleet = Fleet::new();
    fleet.setup.sipher.set_latency(SECOND / 2);
    let processes = fleet.start_many(50);
    let calls = processes.iter().map(|process| {
        let manager = process.manager.clone();
        tokio::spawn(async move { manager.session().await.map(|session| session.id().clone()) })
    });
    let calls: Vec<_> = calls.collect();
    let mut ids = Vec::new();
    for call in calls {
        ids.push(call.await.unwrap().unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(fleet.setup.sipher.session_calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_day_costs_a_fleet_what_it_costs_one_process_and_no_dead_id_is_sent() {
    let mut alone = Fleet::new();
    let one = vec![alone.start()];
    alone.work(&one, 24 * 60 * MINUTE, 4 * MINUTE).await;
    let one_create_each = alone.setup.creates();

    let mut fleet = Fleet::new();
    let processes = fleet.start_many(10);
    fleet.work(&processes, 24 * 60 * MINUTE, 4 * MINUTE).await;
    fleet.setup.sipher.assert_every_call_had_a_session();
    // The process that draws the earliest moment renews for all. No renewal starts before half of the session's life.
    let creates = fleet.setup.creates();
    assert!(
        (one_create_each..=one_create_each * 5 / 4).contains(&creates),
        "{creates} against {one_create_each} of one process"
    );
    let calls = fleet.setup.sipher.session_calls();
    assert!(
        calls <= 2 * creates,
        "{calls}: no more than a create and a delete each"
    );
    assert!(fleet.setup.sipher.live_sessions() <= 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_killed_while_it_makes_the_session_holds_the_others_up_for_its_lease_at_most() {
    let mut fleet = Fleet::new();
    let lost = Fault::new(What::Delay(1000 * SECOND)).on(Target::Create);
    fleet.setup.sipher.fault(lost.times(1));
    let killed = fleet.start();
    let manager = killed.manager.clone();
    let call = tokio::spawn(async move { manager.session().await });
    pass(1.0).await;
    let others = fleet.start_many(3);
    call.abort();
    drop(killed);
    let start = tokio::time::Instant::now();
    assert_eq!(fleet.call(&others).await.len(), 1);
    assert!(start.elapsed() <= 10 * SECOND, "{:?}", start.elapsed());
    assert_eq!(fleet.setup.creates(), 2);
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_published_too_late_is_refused_and_deleted() {
    let mut fleet = Fleet::new();
    let slow = fleet.start();
    fleet.setup.sipher.set_latency(7 * SECOND);
    let manager = slow.manager.clone();
    let late = tokio::spawn(async move { manager.session().await.unwrap().id().clone() });
    pass(1.0).await;
    // The process has the claim and creates its session. Its publication reaches the store after the claim has ended.
    slow.store.set(Trouble {
        delay: 4 * SECOND,
        ..Trouble::default()
    });
    pass(9.0).await;
    fleet.setup.sipher.set_latency(Duration::ZERO);
    let others = fleet.start_many(2);
    let ids = fleet.call(&others).await;
    assert_eq!(ids.len(), 1);
    assert_eq!(
        late.await.unwrap().as_str(),
        ids[0],
        "it takes up what the others use"
    );
    pass(30.0).await;
    assert_eq!(fleet.setup.creates(), 2);
    assert_eq!(fleet.setup.sipher.live_sessions(), 1, "its own is no more");
}

/// One create may bring two sessions: the one that was published too late, and the one that was adopted instead.
#[tokio::test(start_paused = true)]
async fn no_two_sessions_of_a_process_have_the_same_number() {
    let mut fleet = Fleet::new();
    let slow = fleet.start();
    let mut events = slow.manager.events();
    fleet.setup.sipher.set_latency(7 * SECOND);
    let manager = slow.manager.clone();
    let late = tokio::spawn(async move { manager.session().await.unwrap().generation() });
    pass(1.0).await;
    slow.store.set(Trouble {
        delay: 4 * SECOND,
        ..Trouble::default()
    });
    pass(9.0).await;
    fleet.setup.sipher.set_latency(Duration::ZERO);
    let other = fleet.start();
    fleet.call(&[other]).await;
    let taken_up = late.await.unwrap();
    pass(30.0).await;
    let deleted = std::iter::from_fn(|| events.try_recv()).find_map(|event| match event {
        Event::Deleted { session, .. } => Some(session.generation),
        _ => None,
    });
    assert!(
        deleted.is_some_and(|deleted| deleted != taken_up),
        "{deleted:?}, {taken_up}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_create_that_fails_is_not_tried_by_each_of_the_others() {
    let mut fleet = Fleet::new();
    let refused = Fault::new(What::Status(503)).on(Target::Create);
    fleet.setup.sipher.fault(refused.always());
    let processes = fleet.start_many(30);
    let calls: Vec<_> = processes
        .iter()
        .map(|process| {
            let manager = process.manager.clone();
            tokio::spawn(async move { manager.session().await.map(drop) })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap_err();
    }
    let calls = fleet.setup.sipher.session_calls();
    assert!(calls <= 20, "{calls} calls of 30 processes in 20 s");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_starts_again_finds_the_session_of_the_others() {
    let mut fleet = Fleet::new();
    let mut processes = fleet.start_many(2);
    let before = fleet.call(&processes).await;
    processes.pop();
    processes.push(fleet.start());
    assert_eq!(fleet.call(&processes).await, before);
    assert_eq!(fleet.setup.creates(), 1);
    let events = processes[1].events();
    assert!(matches!(events[..], [Event::Adopted { .. }]), "{events:?}");
    // The process asks health whether the server has restarted since the session was created.
    let asked = fleet.setup.sipher.health_calls();
    assert!((1..=2).contains(&asked), "{asked}");
    assert_eq!(fleet.setup.gets(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_renewal_of_another_takes_it_up_and_makes_none() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(5);
    fleet.call(&processes).await;
    pass(3000.0).await;
    fleet.setup.sipher.set_latency(SECOND / 2);
    // From here on, a process that begins to wait gets no announcement. Tasks that were already listening still get them.
    for process in &processes {
        process.store.set(Trouble {
            is_mute: true,
            ..Trouble::default()
        });
    }
    // All processes notice that the renewal is due, and go on with the current session.
    for process in &processes {
        process.manager.session().await.unwrap();
    }
    pass(10.0).await;
    assert_eq!(fleet.call(&processes).await.len(), 1);
    assert_eq!(fleet.setup.creates(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_is_told_late_of_what_it_has_taken_up_meanwhile_makes_none_of_its_own() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    fleet.call(&processes).await;
    pass(3000.0).await;
    fleet.setup.sipher.set_latency(SECOND / 2);
    // The first process creates the session, and the other one waits for it.
    for process in &processes {
        process.manager.session().await.unwrap();
    }
    pass(0.2).await;
    processes[1].store.set(Trouble {
        answers_claims_after: 2 * SECOND,
        ..Trouble::default()
    });
    pass(10.0).await;
    assert_eq!(fleet.call(&processes).await.len(), 1);
    assert_eq!(fleet.setup.creates(), 2);
}

#[tokio::test(start_paused = true)]
async fn who_begins_a_renewal_while_it_takes_another_session_up_makes_none_of_its_own() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    fleet.call(&processes).await;
    pass(3000.0).await;
    fleet.setup.sipher.set_latency(SECOND / 2);
    processes[1].store.set(Trouble {
        delay: 3 * SECOND / 10,
        ..Trouble::default()
    });
    processes[0].manager.session().await.unwrap();
    // The other process has learned of the session, and is just telling the store that it uses the session too.
    pass(1.0).await;
    processes[1].manager.session().await.unwrap();
    pass(10.0).await;
    assert_eq!(fleet.call(&processes).await.len(), 1);
    assert_eq!(fleet.setup.creates(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_shortest_lease_is_long_enough_for_the_longest_time_that_a_request_may_be_held_up() {
    let mut fleet = Fleet::new();
    let lease =
        |seconds| move |builder: SessionManagerBuilder| builder.member_lease(seconds * SECOND);
    let too_short = lease(29)(fleet.setup.builder()).build();
    assert_eq!(too_short.unwrap_err().kind(), ErrorKind::Config);
    let processes = [fleet.start_with(lease(30)), fleet.start_with(lease(30))];
    fleet.work(&processes, 30 * MINUTE, MINUTE).await;
    assert_eq!(fleet.setup.creates(), 1);
}

/// The processes' session ends while they wait for health, which takes too long. Then the first process creates another session.
#[tokio::test(start_paused = true)]
async fn who_waited_for_another_process_has_time_to_ask_for_what_that_has_made() {
    let mut fleet = Fleet::new();
    let brief = |builder: SessionManagerBuilder| {
        builder
            .ttl(121 * SECOND)
            .verify_after(30 * SECOND)
            .max_wait(30 * SECOND)
    };
    let first = fleet.start_with(brief);
    let second = fleet.start_with(|builder| {
        brief(builder)
            .create_timeout(Duration::from_millis(3_500))
            .verify_adopted()
    });
    let both = [first, second];
    fleet.work(&both, 75 * SECOND, 15 * SECOND).await;
    assert_eq!(fleet.setup.creates(), 1);
    fleet.setup.sipher.set_latency(Duration::from_millis(1_353));
    pass(55.5).await;
    let [first, second] = &both;
    let (one, other) = tokio::join!(
        fleet.setup.call(&first.manager),
        fleet.setup.call(&second.manager)
    );
    one.unwrap();
    other.unwrap();
    pass(20.0).await;
    fleet.call(&both).await;
    assert_eq!(fleet.setup.creates(), 2, "one for both");
}
