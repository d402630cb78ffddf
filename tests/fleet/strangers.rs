//! API keys on requests get a place in the store only after the server has accepted them.

use http::HeaderValue;
use sipher_session::{
    ErrorKind, OnStoreDown, SessionDefaults, SessionManagerBuilder,
    testing::{Fault, Target, Tier, What},
};
use tokio::{runtime::Handle, task::JoinSet, time::timeout};
use tower::ServiceExt;

use crate::{
    flaky::Trouble,
    processes::{Fleet, Process},
    support::{Call, SECOND, generate, ours, pass},
};

fn with_key(key: &str) -> Call {
    let mut request = generate();
    let key = HeaderValue::from_str(key).unwrap();
    request.headers_mut().insert("x-api-key", key);
    request
}

/// A call with defaults of its own: other defaults for each `n`.
fn with_own(n: usize) -> Call {
    let mut defaults = SessionDefaults::new();
    defaults.default_viewing_key = Some(format!("0x{n:08x}").as_str().into());
    let mut request = generate();
    request.extensions_mut().insert(defaults);
    request
}

/// Returns the number of tasks that are not callers.
fn tasks(callers: &JoinSet<()>) -> usize {
    let all = Handle::current().metrics().num_alive_tasks();
    all.saturating_sub(callers.len())
}

fn ask(fleet: &Fleet, process: &Process, request: Call, callers: &mut JoinSet<()>) {
    let call = fleet.setup.service(&process.manager).oneshot(request);
    callers.spawn(async move { drop(call.await) });
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_made_up_leave_nothing_in_the_store_and_no_more_tasks_than_calls_could_be_made()
 {
    let mut fleet = Fleet::new();
    let process = fleet.start();
    let error = fleet.setup.service(&process.manager);
    let error = error.oneshot(with_key("sk_pro_x")).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::Credentials);
    fleet.call(std::slice::from_ref(&process)).await;
    let claims = process.store.claims();
    fleet.setup.sipher.set_latency(2 * SECOND);
    let mut callers = JoinSet::new();
    let mut most = 0;
    for n in 0..5_000 {
        ask(
            &fleet,
            &process,
            with_key(&format!("sk_pro_{n:05}")),
            &mut callers,
        );
        if n % 100 == 0 {
            pass(0.02).await;
            while callers.try_join_next().is_some() {}
            most = most.max(tasks(&callers));
        }
    }
    assert!(most > 10, "they are tried");
    assert!(most <= 100, "{most} tasks");
    while callers.join_next().await.is_some() {}
    assert_eq!(process.store.claims(), claims, "nobody claims for them");
    fleet.call(std::slice::from_ref(&process)).await;
    fleet.setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn however_many_sets_of_defaults_are_asked_for_at_once_their_tasks_are_bounded_and_all_wait_their_turn()
 {
    let mut fleet = Fleet::new();
    let others = fleet.start_many(1);
    for n in 0..150 {
        let service = fleet.setup.service(&others[0].manager);
        service.oneshot(with_own(n)).await.unwrap();
        pass(1.0).await;
    }
    let creates = fleet.setup.creates();
    let process = fleet.start();
    process.store.set(Trouble {
        delay: SECOND / 10,
        ..Trouble::default()
    });
    let mut callers = JoinSet::new();
    for n in 0..150 {
        let call = fleet.setup.service(&process.manager).oneshot(with_own(n));
        callers.spawn(async move { drop(call.await.unwrap()) });
    }
    pass(0.05).await;
    let most = tasks(&callers);
    assert!((10..=120).contains(&most), "{most} tasks");
    while let Some(answered) = callers.join_next().await {
        answered.unwrap();
    }
    assert_eq!(fleet.setup.creates(), creates, "all were taken up");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_a_request_brings_is_shared_once_the_server_has_taken_it() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(3);
    let key = fleet.setup.sipher.api_key(Tier::Pro);
    for process in &processes {
        let service = fleet.setup.service(&process.manager);
        service.oneshot(with_key(&key)).await.unwrap();
        pass(1.0).await;
    }
    assert_eq!(fleet.setup.creates(), 1, "the others take it up");
    for process in &processes {
        process.shutdown().await;
    }
    assert_eq!(fleet.setup.sipher.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn processes_that_bring_a_new_key_at_one_moment_come_to_share_one_session() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(3);
    let key = fleet.setup.sipher.api_key(Tier::Pro);
    let mut callers = JoinSet::new();
    for process in &processes {
        ask(&fleet, process, with_key(&key), &mut callers);
    }
    while callers.join_next().await.is_some() {}
    assert!(fleet.setup.creates() <= 3);
    pass(30.0).await;
    let mut ids = Vec::new();
    for process in &processes {
        let service = fleet.setup.service(&process.manager);
        service.oneshot(with_key(&key)).await.unwrap();
        ids.push(fleet.setup.last_id().unwrap());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    pass(30.0).await;
    assert_eq!(
        fleet.setup.sipher.live_sessions_of(&key),
        1,
        "the others are deleted"
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_server_refuses_later_keeps_its_place_in_the_store() {
    let mut fleet = Fleet::new();
    let process = fleet.start();
    let refused = Fault::new(What::Status(401))
        .on(Target::Create)
        .times(usize::MAX);
    fleet.setup.sipher.fault(refused);
    let request = || fleet.setup.service(&process.manager).oneshot(generate());
    for tries in 1..4 {
        assert!(request().await.is_err());
        assert_eq!(process.store.claims(), tries, "others wait meanwhile");
        pass(1_000.0).await;
    }
    fleet.setup.sipher.clear_faults();
    request().await.unwrap();
    assert_eq!(process.store.claims(), 4);
}

/// Half of the store hangs. Callers ask again and again for 600 sets of defaults, half of which are in that half.
/// Returns how many of 16 other requests get a session within 10 s.
async fn served_while_half_of_the_store_hangs(half: u8) -> usize {
    let mut fleet = Fleet::new();
    let fails = |builder: SessionManagerBuilder| {
        let builder = builder.on_store_down(OnStoreDown::Fail);
        builder.call_budget(600, 60).create_timeout(4 * SECOND)
    };
    let process = fleet.start_with(fails);
    fleet.call(std::slice::from_ref(&process)).await;
    process.store.set(Trouble {
        delay: 100_000 * SECOND,
        half: Some(half),
        ..Trouble::default()
    });
    let mut callers = JoinSet::new();
    for n in 0..600 {
        let service = fleet.setup.service(&process.manager);
        callers.spawn(async move {
            for _ in 0..40 {
                drop(service.clone().oneshot(with_own(n)).await);
                pass(1.0).await;
            }
        });
    }
    pass(60.0).await;
    let mut others = JoinSet::new();
    for n in 1_000..1_016 {
        let call = fleet.setup.service(&process.manager).oneshot(with_own(n));
        others.spawn(async move { timeout(10 * SECOND, call).await.is_ok_and(|it| it.is_ok()) });
    }
    let served = others.join_all().await;
    served.into_iter().filter(|is_served| *is_served).count()
}

#[tokio::test(start_paused = true)]
async fn creates_that_hang_in_one_part_of_the_store_leave_places_to_those_of_another() {
    for half in [0, 1] {
        let served = served_while_half_of_the_store_hangs(half).await;
        assert!(served >= 4, "{served} while half {half} hangs");
    }
}
