//! The bound on session calls, under floods of requests.

use std::time::Duration;

use sipher_session::{
    CallBudget, ErrorKind, SessionDefaults,
    testing::{Fault, Operation, Target, Tier, What},
};
use tokio::task::JoinSet;
use tower::ServiceExt;

use crate::support::{Call, SECOND, Setup, generate, ours, pass};

#[tokio::test(start_paused = true)]
async fn a_flood_of_wrong_keys_makes_no_more_calls_than_the_budget_and_evicts_nobody() {
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(2).build().unwrap();
    setup.call(&manager).await.unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    let start = tokio::time::Instant::now();
    for _ in 0..100 {
        let mut callers = JoinSet::new();
        for _ in 0..1_000 {
            let mut request = generate();
            let key = format!("sk_pro_{:032x}", random.u128(..));
            request
                .headers_mut()
                .insert("x-api-key", key.parse().unwrap());
            callers.spawn(setup.service(&manager).oneshot(request));
        }
        for answer in callers.join_all().await {
            let error = answer.unwrap_err();
            let kind = ours(&error).kind();
            assert!(
                matches!(
                    kind,
                    ErrorKind::Credentials | ErrorKind::Budget | ErrorKind::Timeout
                ),
                "{kind:?}"
            );
        }
    }
    let bound = CallBudget::default().bound(start.elapsed());
    assert!(setup.sipher.session_calls() as u64 <= bound, "{bound}");
    setup.call(&manager).await.unwrap();
    assert_eq!(
        setup.creates(),
        setup.sipher.session_calls(),
        "nothing was deleted to make room"
    );
    let firsts = setup.uses();
    assert_eq!(firsts.len(), 2, "wrong keys' requests were not sent");
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn every_span_of_time_keeps_the_bound_whatever_fails() {
    for seed in 0..10 {
        let setup = Setup::new();
        let manager = setup
            .builder()
            .seed(seed)
            .call_budget(30, 5)
            .ttl(60 * SECOND)
            .build()
            .unwrap();
        let budget = |span: u64| 5 + span / 2;
        let mut random = fastrand::Rng::with_seed(seed);
        let keys: Vec<_> = (0..8).map(|_| setup.sipher.api_key(Tier::Pro)).collect();
        for _ in 0..600 {
            if random.u8(..) < 60 {
                let what = match random.u8(0..6) {
                    0 => What::Status(500),
                    1 => What::LoseAnswer,
                    2 => What::Html(502),
                    3 => What::EchoWrong,
                    4 => What::Delay(Duration::from_secs(random.u64(0..20))),
                    _ => What::Refuse,
                };
                setup
                    .sipher
                    .fault(Fault::new(what).on(Target::SessionCalls));
            }
            let mut request = generate();
            let key = random.choice(&keys).unwrap();
            request
                .headers_mut()
                .insert("x-api-key", key.parse().unwrap());
            let call = setup.service(&manager).oneshot(request);
            drop(tokio::time::timeout(Duration::from_millis(random.u64(0..3_000)), call).await);
            pass(random.f64()).await;
            if random.u8(..) < 30 {
                manager.invalidate(random.u64(0..100));
            }
        }
        manager.shutdown(20 * SECOND).await;
        let log = setup.sipher.log();
        let at: Vec<_> = log
            .iter()
            .filter(|e| e.operation != Operation::Other)
            .map(|e| e.at)
            .collect();
        assert!(at.len() > 50, "seed {seed}: {}", at.len());
        for (i, start) in at.iter().enumerate() {
            for (j, end) in at.iter().enumerate().skip(i) {
                let (calls, span) = (j - i + 1, (*end - *start).as_secs());
                assert!(
                    calls as u64 <= budget(span),
                    "seed {seed}: {calls} calls in {span} s"
                );
            }
        }
        setup.sipher.assert_no_dead_id();
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_is_fenced_while_it_waits_for_its_call_makes_none() {
    let setup = Setup::new();
    let manager = setup
        .builder()
        .ttl(60 * SECOND)
        .call_budget(6, 1)
        .build()
        .unwrap();
    let first = manager.session().await.unwrap();
    pass(46.0).await;
    // Another key takes the token that the renewal needs.
    let mut request = generate();
    request
        .headers_mut()
        .insert("x-api-key", "wrong".parse().unwrap());
    drop(setup.service(&manager).oneshot(request).await);
    pass(3.0).await;
    setup.call(&manager).await.unwrap();
    manager.invalidate(first.generation());
    setup.call(&manager).await.unwrap();
    pass(30.0).await;
    assert_eq!(
        setup.creates(),
        3,
        "the first, the wrong key's and the last"
    );
    assert_eq!(setup.sipher.live_sessions(), 1);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_tenants_pass_through_a_thousand_places_and_leave_nothing_behind() {
    let setup = Setup::new();
    let manager = setup
        .builder()
        .max_sessions(1_000)
        .call_budget(6_000_000, 100_000)
        .build()
        .unwrap();
    for _ in 0..100 {
        let mut callers = JoinSet::new();
        for _ in 0..100 {
            let mut request = generate();
            let key = setup.sipher.api_key(Tier::Pro);
            request
                .headers_mut()
                .insert("x-api-key", key.parse().unwrap());
            callers.spawn(setup.service(&manager).oneshot(request));
        }
        for answer in callers.join_all().await {
            answer.unwrap();
        }
        pass(1.0).await;
    }
    // A session that was used within the last minute is not evicted.
    pass(65.0).await;
    assert_eq!(manager.stats().live_sessions, 1_000);
    assert_eq!(
        setup.sipher.live_sessions(),
        1_000,
        "who has no place is deleted"
    );
    let report = manager.shutdown(5 * SECOND).await;
    assert_eq!((report.deleted, report.left_to_expire), (1_000, 0));
    assert_eq!(setup.sipher.live_sessions(), 0);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn who_finds_the_budget_used_up_is_told_when_there_is_more() {
    let setup = Setup::new();
    let manager = setup.builder().call_budget(1, 1).build().unwrap();
    setup.call(&manager).await.unwrap();
    let mut request = generate();
    request
        .headers_mut()
        .insert("x-api-key", "another".parse().unwrap());
    let error = setup.service(&manager).oneshot(request).await.unwrap_err();
    let error = ours(&error);
    assert_eq!(error.kind(), ErrorKind::Budget);
    assert_eq!(error.retry_after(), Some(60 * SECOND));
    assert!(error.is_transient());
    pass(1.0).await;
    setup.call(&manager).await.unwrap();
}

/// A call with defaults of its own: other defaults for each `n`.
fn with_own(n: usize) -> Call {
    let mut defaults = SessionDefaults::new();
    defaults.default_viewing_key = Some(format!("0x{n:08x}").as_str().into());
    let mut request = generate();
    request.extensions_mut().insert(defaults);
    request
}

/// The API key is refused while creates wait for their first call.
#[tokio::test(start_paused = true)]
async fn creates_that_fail_while_they_wait_for_a_call_leave_their_places_to_others() {
    for what in [What::Status(401), What::Status(403)] {
        let setup = Setup::new();
        let manager = setup.builder().call_budget(60, 2).build().unwrap();
        setup.sipher.fault(Fault::new(what).on(Target::Create));
        let mut callers = JoinSet::new();
        for n in 0..100 {
            callers.spawn(setup.service(&manager).oneshot(with_own(n)));
        }
        for answer in callers.join_all().await {
            let kind = ours(&answer.unwrap_err()).kind();
            assert!(matches!(kind, ErrorKind::Credentials | ErrorKind::Budget));
        }
        // The server accepts the key again, and the token bucket is full.
        pass(600.0).await;
        for n in 0..10 {
            let answer = setup.service(&manager).oneshot(with_own(n)).await;
            assert!(answer.is_ok(), "{n}: {answer:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_call_at_a_time_and_short_waits_do_not_end_creates_after_a_refusal() {
    let setup = Setup::new();
    let manager = setup
        .builder()
        .call_budget(12, 1)
        .max_wait(Duration::from_millis(4_900))
        .build()
        .unwrap();
    setup.sipher.set_latency(2 * SECOND);
    setup
        .sipher
        .fault(Fault::new(What::Status(401)).on(Target::Create));
    let mut callers = JoinSet::new();
    callers.spawn(setup.service(&manager).oneshot(with_own(0)));
    pass(1.0).await;
    // This create waits for the next token. By then, the key is refused.
    callers.spawn(setup.service(&manager).oneshot(with_own(1)));
    for answer in callers.join_all().await {
        assert_eq!(ours(&answer.unwrap_err()).kind(), ErrorKind::Credentials);
    }
    pass(60.0).await;
    for n in 0..3 {
        let answer = setup.service(&manager).oneshot(with_own(n)).await;
        assert!(answer.is_ok(), "{n}: {answer:?}");
        pass(5.0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_call_hears_at_once_of_a_pace_that_it_cannot_wait_for() {
    let setup = Setup::new();
    let manager = setup.builder().call_budget(60, 1).build().unwrap();
    setup.sipher.set_latency(SECOND / 2);
    let pace = What::RateLimited {
        retry_after: Some(300),
        in_body: false,
    };
    setup.sipher.fault(Fault::new(pace).on(Target::Create));
    let first = tokio::spawn(setup.service(&manager).oneshot(with_own(0)));
    pass(0.1).await;
    let start = tokio::time::Instant::now();
    // This create waits for the next token. By then, the server has sent its `Retry-After`.
    let answer = setup.service(&manager).oneshot(with_own(1)).await;
    assert_eq!(ours(&answer.unwrap_err()).kind(), ErrorKind::RateLimited);
    assert!(start.elapsed() < 2 * SECOND, "{:?}", start.elapsed());
    first.await.unwrap().unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_call_already_count_before_whoever_comes_later() {
    let setup = Setup::new();
    let manager = setup
        .builder()
        .call_budget(60, 1)
        .max_wait(10 * SECOND)
        .build()
        .unwrap();
    let mut callers = JoinSet::new();
    for n in 0..11 {
        callers.spawn(setup.service(&manager).oneshot(with_own(n)));
    }
    pass(0.1).await;
    let start = tokio::time::Instant::now();
    let answer = setup.service(&manager).oneshot(with_own(11)).await;
    assert_eq!(ours(&answer.unwrap_err()).kind(), ErrorKind::Budget);
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
}

/// With a burst of 1, a delete could otherwise take the token during any pause of a create.
#[tokio::test(start_paused = true)]
async fn a_create_that_is_tried_again_comes_before_a_delete() {
    for seed in 0..10 {
        let setup = Setup::new();
        let manager = setup.builder().call_budget(60, 1).seed(seed);
        let manager = manager.build().unwrap();
        setup.call(&manager).await.unwrap();
        pass(1.5).await;
        let fault = Fault::new(What::Status(503)).on(Target::Create);
        setup.sipher.fault(fault);
        let other = SessionDefaults::new().chain(sipher_session::Chain::Base);
        let other = sipher_session::SessionLayer::new(manager.clone()).defaults(other);
        let other = tower::Layer::layer(&other, setup.sipher.clone());
        let call = tokio::spawn(other.oneshot(generate()));
        pass(0.1).await;
        assert!(manager.invalidate(1));
        call.await.unwrap().unwrap();
        pass(5.0).await;
        let log = setup.sipher.log().into_iter();
        let calls: Vec<_> = log
            .map(|it| it.operation)
            .filter(|it| *it != Operation::Other)
            .collect();
        let creates_first = [
            Operation::Create,
            Operation::Create,
            Operation::Create,
            Operation::Delete,
        ];
        assert_eq!(calls, creates_first, "seed {seed}");
    }
}
