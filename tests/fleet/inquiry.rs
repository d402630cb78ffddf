//! One question to the server serves the whole fleet.

use std::time::Duration;

use http::Response;
use http_body_util::BodyExt;
use sipher_session::{
    store::MemoryStore,
    testing::{FakeBody, Fault, Target, TestClock, What},
};
use tokio::{task::JoinSet, time::Instant};
use tower::ServiceExt;

use crate::{
    flaky::Trouble,
    processes::{Fleet, Process},
    support::{Setup, generate, pass},
};

fn gateway(fleet: &Fleet, processes: &[Process], status: u16) {
    let fault = Fault::new(What::Html(status)).on(Target::Calls);
    fleet.setup.sipher.fault(fault.times(processes.len()));
}

/// Each process sends two requests, one after the other, at the same time as the other processes. Returns the answers
/// to the second requests.
async fn call_together(fleet: &Fleet, processes: &[Process]) -> Vec<Response<FakeBody>> {
    let mut all = JoinSet::new();
    for process in processes {
        let service = fleet.setup.service(&process.manager);
        all.spawn(async move {
            service.clone().oneshot(generate()).await.unwrap();
            service.oneshot(generate()).await.unwrap()
        });
    }
    all.join_all().await
}

/// Fifty processes that share a session, and a server that takes a moment to answer.
async fn fifty(fleet: &mut Fleet) -> Vec<Process> {
    fleet.setup.sipher.set_rate_limit(None);
    let processes = fleet.start_many(50);
    fleet.call(&processes).await;
    pass(5.0).await;
    fleet.setup.sipher.set_latency(Duration::from_millis(50));
    fleet.setup.sipher.clear_log();
    processes
}

#[tokio::test(start_paused = true)]
async fn a_gateways_answer_that_every_process_meets_is_one_question_and_no_session_call() {
    let mut fleet = Fleet::new();
    let processes = fifty(&mut fleet).await;
    gateway(&fleet, &processes, 502);
    for answer in call_together(&fleet, &processes).await {
        assert_eq!(answer.status(), 200);
    }
    // A sign that a process sees while another one asks needs an answer of its own.
    let asked = fleet.setup.sipher.health_calls();
    assert!((1..=2).contains(&asked), "{asked}");
    assert_eq!(fleet.setup.sipher.session_calls(), 0);
    fleet.setup.sipher.assert_no_dead_id();
}

#[tokio::test(start_paused = true)]
async fn processes_that_meet_a_restart_together_ask_once_and_make_one_session() {
    let mut fleet = Fleet::new();
    let processes = fifty(&mut fleet).await;
    fleet.setup.sipher.restart();
    gateway(&fleet, &processes, 502);
    for answer in call_together(&fleet, &processes).await {
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&text).contains("near"));
    }
    let asked = fleet.setup.sipher.health_calls();
    assert!((1..=2).contains(&asked), "{asked}");
    assert_eq!(fleet.setup.sipher.session_calls(), 1);
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
    gateway(&fleet, &processes, 503);
    for process in &processes {
        let answer = fleet.setup.call(&process.manager).await.unwrap();
        assert_eq!(answer.status(), 503);
    }
    pass(1.0).await;
    fleet.setup.sipher.clear_log();
    for process in &processes {
        fleet.setup.call(&process.manager).await.unwrap();
    }
    fleet.setup.sipher.assert_no_dead_id();
}

/// Sends requests every 70 s for twenty minutes, while health says nothing or is refused.
async fn idle_twenty_minutes(fleet: &Fleet, processes: &[Process], what: What) -> usize {
    let silent = Fault::new(what).on(Target::Health);
    fleet.setup.sipher.fault(silent.always());
    fleet.setup.sipher.clear_log();
    for _ in 0..18 {
        pass(70.0).await;
        for answer in call_together(fleet, processes).await {
            assert_eq!(answer.status(), 200);
        }
    }
    fleet.setup.gets()
}

#[tokio::test(start_paused = true)]
async fn where_health_says_nothing_a_fleet_makes_one_session_call_in_five_minutes() {
    for what in [
        What::Html(404),
        What::NoUptime,
        What::Html(502),
        What::Refuse,
    ] {
        let name = format!("{what:?}");
        let mut fleet = Fleet::new();
        fleet.setup.sipher.set_rate_limit(None);
        let processes = fleet.start_many(20);
        fleet.call(&processes).await;
        fleet.setup.sipher.set_latency(Duration::from_millis(50));
        let gets = idle_twenty_minutes(&fleet, &processes, what).await;
        assert!((3..=5).contains(&gets), "{name}: {gets}");
        fleet.setup.sipher.restart();
        fleet.setup.sipher.clear_log();
        pass(310.0).await;
        call_together(&fleet, &processes).await;
        let calls = fleet.setup.sipher.session_calls();
        assert!(calls <= 2, "{name}: {calls} for one restart");
        fleet.setup.sipher.assert_no_dead_id();
    }
}

/// Health takes longer than a question waits. While the others wait for the first process, it asks for a session.
#[tokio::test(start_paused = true)]
async fn a_session_call_that_was_made_since_the_sign_counts_for_all_who_wait() {
    let mut fleet = Fleet::new();
    fleet.setup.sipher.set_rate_limit(None);
    let processes = fleet.start_many(5);
    fleet.call(&processes).await;
    pass(70.0).await;
    fleet.setup.sipher.set_latency(Duration::from_millis(1_260));
    fleet.setup.sipher.clear_log();
    for answer in call_together(&fleet, &processes).await {
        assert_eq!(answer.status(), 200);
    }
    let (asked, gets) = (fleet.setup.sipher.health_calls(), fleet.setup.gets());
    assert_eq!((asked, gets), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn where_the_store_is_gone_too_each_process_asks_for_its_session() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(3);
    fleet.call(&processes).await;
    for process in &processes {
        process.store.set(Trouble {
            is_cut: true,
            ..Trouble::default()
        });
    }
    let silent = Fault::new(What::NoUptime).on(Target::Health);
    fleet.setup.sipher.fault(silent.always());
    fleet.setup.sipher.restart();
    pass(70.0).await;
    for process in &processes {
        fleet.setup.call(&process.manager).await.unwrap();
    }
    assert_eq!(fleet.setup.gets(), 3);
    fleet.setup.sipher.assert_no_dead_id();
}

/// One process asks for the session, and then the store's clock is set back. The result must not count as newer than the next sign.
#[tokio::test(start_paused = true)]
async fn an_answer_of_before_a_sign_is_none_of_after_it_where_the_stores_clock_was_set_back() {
    for back in [0, 25, 60, 600] {
        let setup = Setup::apart();
        setup.sipher.set_rate_limit(None);
        setup.silence_health();
        let clock = TestClock::new();
        let store = MemoryStore::new(clock.clone());
        let [one, other] = [1, 2].map(|seed| {
            let builder = setup.builder().seed(seed).store(store.clone());
            builder.build().unwrap()
        });
        for manager in [&one, &other] {
            setup.call(manager).await.unwrap();
        }
        pass(400.0).await;
        let gateway = || {
            let fault = Fault::new(What::Html(502)).on(Target::Calls);
            setup.sipher.fault(fault);
        };
        gateway();
        drop(setup.call(&one).await);
        setup.call(&one).await.unwrap();
        clock.set_back(Duration::from_secs(back));
        pass(20.0).await;
        setup.sipher.restart();
        gateway();
        drop(setup.call(&other).await);
        let (sign, mut last_wrong) = (Instant::now(), Duration::ZERO);
        while sign.elapsed() < Duration::from_secs(1_200) {
            let is_answered = setup.call(&other).await.is_ok();
            if is_answered && setup.last_chain().as_deref() != Some("near") {
                last_wrong = sign.elapsed();
            }
            pass(5.0).await;
        }
        // Without a step of the clock, the result of another process counts for five minutes.
        assert!(
            last_wrong < Duration::from_secs(310),
            "{back}: {last_wrong:?}"
        );
    }
}
