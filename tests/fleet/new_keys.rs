//! Many processes with one API key that is new, or that the server refuses.

use http::HeaderValue;
use sipher_session::testing::{Fault, Target, Tier, What};
use tokio::{task::JoinSet, time::Instant};
use tower::ServiceExt;

use crate::{
    processes::{Fleet, Process},
    support::{SECOND, generate, pass},
};

/// Each process sends one request, 50 ms after the one before.
async fn call_in_turn(fleet: &Fleet, processes: &[Process], key: Option<&str>) {
    let mut callers = JoinSet::new();
    for process in processes {
        let mut request = generate();
        if let Some(key) = key {
            let key = HeaderValue::from_str(key).unwrap();
            request.headers_mut().insert("x-api-key", key);
        }
        let call = fleet.setup.service(&process.manager).oneshot(request);
        callers.spawn(async move { drop(call.await.unwrap()) });
        pass(0.05).await;
    }
    while let Some(call) = callers.join_next().await {
        call.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn processes_that_start_with_a_key_that_none_has_used_make_one_session() {
    let mut fleet = Fleet::new();
    fleet.setup.sipher.set_latency(SECOND * 3 / 10);
    let processes = fleet.start_many(20);
    call_in_turn(&fleet, &processes, None).await;
    assert_eq!(fleet.setup.creates(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_key_costs_a_create_for_each_process_that_looked_before_the_first_session_was_published()
 {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(20);
    // Each process already has a heartbeat.
    fleet.call(&processes).await;
    pass(3.0).await;
    let (before, key) = (fleet.setup.creates(), fleet.setup.sipher.api_key(Tier::Pro));
    fleet.setup.sipher.set_latency(SECOND * 3 / 10);
    call_in_turn(&fleet, &processes, Some(&key)).await;
    let creates = fleet.setup.creates() - before;
    assert!((2..=8).contains(&creates), "{creates} of 20");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_server_refuses_from_now_on_costs_a_fleet_as_many_creates_as_one_process() {
    let mut counts = Vec::new();
    for count in [1, 40] {
        let mut fleet = Fleet::new();
        let processes = fleet.start_many(count);
        fleet.call(&processes).await;
        let refused = Fault::new(What::Status(401)).on(Target::Create);
        fleet.setup.sipher.fault(refused.times(usize::MAX));
        for generation in 0..10 {
            processes[0].manager.invalidate(generation);
        }
        pass(1.0).await;
        let mut callers = JoinSet::new();
        for process in &processes {
            let service = fleet.setup.service(&process.manager);
            callers.spawn(async move {
                let start = Instant::now();
                while start.elapsed() < 1_200 * SECOND {
                    drop(service.clone().oneshot(generate()).await);
                    pass(1.0).await;
                }
            });
        }
        callers.join_all().await;
        counts.push(fleet.setup.creates() - 1);
        fleet.setup.sipher.clear_faults();
        pass(700.0).await;
        fleet.call(&processes).await;
        assert_eq!(fleet.setup.creates() - 1, counts.last().unwrap() + 1);
    }
    assert!(counts[0] >= 4 && counts[1] <= 2 * counts[0], "{counts:?}");
}
