//! One question to the server for the whole fleet.

use http_body_util::BodyExt;
use sipher_session::testing::{Fault, Target, What};

use crate::{flaky::Trouble, processes::Fleet, support::pass};

async fn blip(fleet: &Fleet, processes: &[crate::processes::Process], status: u16) {
    let fault = Fault::new(What::Html(status)).on(Target::Calls);
    fleet.setup.sipher.fault(fault.times(processes.len()));
    for process in processes {
        assert_eq!(
            fleet.setup.call(&process.manager).await.unwrap().status(),
            status
        );
    }
    pass(1.0).await;
}

#[tokio::test(start_paused = true)]
async fn a_gateways_answer_that_every_process_meets_is_one_question_and_no_session_call() {
    let mut fleet = Fleet::new();
    fleet.setup.sipher.set_rate_limit(None);
    let processes = fleet.start_many(50);
    fleet.call(&processes).await;
    pass(5.0).await;
    let (calls, health) = (
        fleet.setup.sipher.session_calls(),
        fleet.setup.sipher.health_calls(),
    );
    blip(&fleet, &processes, 502).await;
    fleet.call(&processes).await;
    let asked = fleet.setup.sipher.health_calls() - health;
    // One by one, each sees the sign after the one before it has asked; together, they wait for the first.
    assert!(asked <= 50, "{asked}");
    assert_eq!(fleet.setup.sipher.session_calls(), calls);
    fleet.setup.sipher.assert_no_dead_id();
}

/// All at once, as when the server restarts.
#[tokio::test(start_paused = true)]
async fn processes_that_meet_a_restart_together_ask_once_and_make_one_session() {
    let mut fleet = Fleet::new();
    fleet.setup.sipher.set_rate_limit(None);
    let processes = fleet.start_many(50);
    fleet.call(&processes).await;
    pass(5.0).await;
    let (calls, health) = (
        fleet.setup.sipher.session_calls(),
        fleet.setup.sipher.health_calls(),
    );
    fleet
        .setup
        .sipher
        .set_latency(std::time::Duration::from_millis(50));
    fleet.setup.sipher.restart();
    let fault = Fault::new(What::Html(502)).on(Target::Calls);
    fleet.setup.sipher.fault(fault.times(processes.len()));
    let mut all = tokio::task::JoinSet::new();
    for process in &processes {
        let service = fleet.setup.service(&process.manager);
        all.spawn(async move {
            use tower::ServiceExt;
            service
                .clone()
                .oneshot(crate::support::generate())
                .await
                .unwrap();
            service.oneshot(crate::support::generate()).await.unwrap()
        });
    }
    while let Some(answer) = all.join_next().await {
        let text = answer
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes();
        assert!(String::from_utf8_lossy(&text).contains("near"));
    }
    let asked = fleet.setup.sipher.health_calls() - health;
    assert!(asked <= 2, "{asked}");
    assert_eq!(fleet.setup.sipher.session_calls() - calls, 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_store_each_process_asks_for_itself_and_none_goes_on_with_a_dead_session() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(3);
    fleet.call(&processes).await;
    for process in &processes {
        process.store.set(Trouble {
            is_cut: true,
            ..Trouble::default()
        });
    }
    fleet.setup.sipher.restart();
    blip(&fleet, &processes, 503).await;
    fleet.setup.sipher.clear_log();
    for process in &processes {
        fleet.setup.call(&process.manager).await.unwrap();
    }
    fleet.setup.sipher.assert_no_dead_id();
}
