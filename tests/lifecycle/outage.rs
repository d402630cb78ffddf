//! Nobody can connect to the server: one tenant's create finds out, and the other tenants need not wait.

use std::{future::pending, time::Duration};

use sipher_session::{
    BoxError, ErrorKind, Event, Events, SessionDefaults, SessionManager,
    api::Transport,
    testing::{FakeSipher, Fault, Target, Tier, What},
};
use tokio::{task::JoinSet, time::Instant};
use tower::ServiceExt;

use crate::support::{Call, SECOND, Setup, generate, ours, pass};

/// A server, and a manager with this many tenants.
fn tenants(count: usize) -> (Setup, SessionManager, Vec<String>) {
    let setup = Setup::new();
    let manager = setup.manager();
    let keys = (0..count).map(|_| setup.sipher.api_key(Tier::Pro));
    let keys = keys.collect();
    (setup, manager, keys)
}

fn request(key: &str) -> Call {
    let mut request = generate();
    let key = key.parse().unwrap();
    request.headers_mut().insert("x-api-key", key);
    request
}

/// Returns what a tenant gets, and how long that took.
async fn ask(
    setup: &Setup,
    manager: &SessionManager,
    key: &str,
) -> (Result<(), BoxError>, Duration) {
    let start = Instant::now();
    let answer = setup.service(manager).oneshot(request(key)).await;
    (answer.map(drop), start.elapsed())
}

fn is_down(answer: &Result<(), BoxError>) -> bool {
    let error = ours(answer.as_ref().unwrap_err());
    let retry_after = error.retry_after().unwrap_or_default();
    error.kind() == ErrorKind::Unavailable
        && retry_after > Duration::ZERO
        && retry_after <= 10 * SECOND
}

fn outages() -> [What; 4] {
    [
        What::Refuse,
        What::Status(502),
        What::Cloudflare(521),
        What::ShuttingDown,
    ]
}

fn go_down(setup: &Setup, what: What) {
    setup.sipher.fault(Fault::new(what).always());
}

#[tokio::test(start_paused = true)]
async fn the_first_tenant_that_finds_out_spares_the_others_the_wait() {
    for what in outages() {
        let name = format!("{what:?}");
        let (setup, manager, keys) = tenants(20);
        go_down(&setup, what);
        let (answer, took) = ask(&setup, &manager, &keys[0]).await;
        assert!(is_down(&answer), "{name}: {answer:?}");
        assert!(took <= 20 * SECOND, "{name}: {took:?}");
        let calls = manager.stats().session_calls;
        for key in &keys[1..] {
            let (answer, took) = ask(&setup, &manager, key).await;
            assert!(is_down(&answer), "{name}: {answer:?}");
            assert_eq!(took, Duration::ZERO, "{name}");
        }
        assert_eq!(manager.stats().session_calls, calls, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn tenants_that_asked_before_are_told_with_the_first() {
    let (setup, manager, keys) = tenants(12);
    go_down(&setup, What::Refuse);
    let mut asked = JoinSet::new();
    for key in keys {
        let ask = setup.service(&manager).oneshot(request(&key));
        asked.spawn(async move { (ask.await.map(drop), Instant::now()) });
        pass(1.0).await;
    }
    let ends = asked.join_all().await;
    assert!(ends.iter().all(|(answer, _)| is_down(answer)));
    let first = ends.iter().map(|(_, end)| *end).min();
    // The first create was retried for up to 20 s. The last request had waited for only a few.
    assert!(ends.iter().all(|(_, end)| Some(*end) == first), "{ends:?}");
}

#[tokio::test(start_paused = true)]
async fn one_call_at_a_time_finds_out_whether_the_server_is_back() {
    let (setup, manager, keys) = tenants(20);
    go_down(&setup, What::Refuse);
    ask(&setup, &manager, &keys[0]).await.0.unwrap_err();
    let calls = manager.stats().session_calls;
    for _ in 0..120 {
        for key in &keys {
            let (answer, took) = ask(&setup, &manager, key).await;
            assert!(is_down(&answer), "{answer:?}");
            assert_eq!(took, Duration::ZERO);
        }
        pass(0.5).await;
    }
    let calls = manager.stats().session_calls - calls;
    // After 1, 2, 4 and 8 s, and then every 10 s.
    assert!((6..=10).contains(&calls), "{calls}");
    setup.sipher.clear_faults();
    pass(10.0).await;
    for key in &keys {
        ask(&setup, &manager, key).await.0.unwrap();
    }
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn while_one_finds_out_the_others_fail_at_once_and_none_of_them_forever() {
    let (setup, manager, keys) = tenants(3);
    go_down(&setup, What::Refuse);
    ask(&setup, &manager, &keys[0]).await.0.unwrap_err();
    setup.sipher.clear_faults();
    setup
        .sipher
        .fault(Fault::new(What::Hang).on(Target::Create));
    pass(10.0).await;
    let probe = tokio::spawn(setup.service(&manager).oneshot(request(&keys[0])));
    pass(1.0).await;
    let calls = manager.stats().session_calls;
    for _ in 0..18 {
        let (answer, took) = ask(&setup, &manager, &keys[1]).await;
        assert!(is_down(&answer), "{answer:?}");
        assert_eq!(took, Duration::ZERO);
        pass(1.0).await;
    }
    assert_eq!(manager.stats().session_calls, calls);
    probe.await.unwrap().unwrap_err();
    // The call was not answered, so the next one finds out.
    pass(10.0).await;
    ask(&setup, &manager, &keys[1]).await.0.unwrap();
    ask(&setup, &manager, &keys[2]).await.0.unwrap();
}

/// A transport to a server that never answers a create for this key.
fn hangs_for(key: &str, sipher: &FakeSipher) -> Transport {
    let (key, sipher) = (key.to_owned(), sipher.clone());
    Transport::new(tower::service_fn(move |call: Call| {
        let is_meant = call
            .headers()
            .get("x-api-key")
            .is_some_and(|it| *it == *key);
        let hangs = is_meant && call.uri().path() == "/v1/sessions";
        let sipher = sipher.clone();
        async move {
            // While the server is down, it refuses this create too.
            let answer = sipher.oneshot(call).await;
            if hangs && answer.is_ok() {
                pending::<()>().await;
            }
            answer
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_create_is_never_answered_does_not_keep_the_others_out_after_an_outage() {
    let (setup, _, keys) = tenants(3);
    let transport = hangs_for(&keys[0], &setup.sipher);
    let manager = setup.builder().transport(transport).build().unwrap();
    go_down(&setup, What::Refuse);
    ask(&setup, &manager, &keys[0]).await.0.unwrap_err();
    setup.sipher.clear_faults();
    // This tenant asks all the time, so its call is the first to find out.
    let asks = setup.service(&manager);
    let always = keys[0].clone();
    tokio::spawn(async move {
        loop {
            let _ = asks.clone().oneshot(request(&always)).await;
            pass(0.1).await;
        }
    });
    let mut is_served = false;
    pass(0.7).await;
    for _ in 0..40 {
        is_served |= ask(&setup, &manager, &keys[1]).await.0.is_ok();
        pass(3.0).await;
    }
    assert!(is_served);
    // From then on, only this tenant waits.
    ask(&setup, &manager, &keys[2]).await.0.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_ten_seconds_is_waited_for_by_all() {
    for what in outages() {
        let (setup, manager, keys) = tenants(12);
        go_down(&setup, what);
        let mut asked = JoinSet::new();
        for key in keys {
            asked.spawn(setup.service(&manager).oneshot(request(&key)));
        }
        pass(10.0).await;
        setup.sipher.clear_faults();
        assert!(asked.join_all().await.iter().all(Result::is_ok));
        setup.sipher.assert_every_call_had_a_session();
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_holds_back_nobody_else_whatever_it_says() {
    for what in [
        What::Error(500, "SESSION_CREATE_FAILED"),
        What::Error(503, "SERVICE_UNAVAILABLE"),
        What::LoseAnswer,
        What::Hang,
    ] {
        let (setup, manager, keys) = tenants(3);
        let name = format!("{what:?}");
        setup
            .sipher
            .fault(Fault::new(what).on(Target::Create).always());
        ask(&setup, &manager, &keys[0]).await.0.unwrap_err();
        setup.sipher.clear_faults();
        let (answer, took) = ask(&setup, &manager, &keys[1]).await;
        answer.unwrap();
        assert_eq!(took, Duration::ZERO, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn tenants_that_have_sessions_are_spared_the_wait_as_well() {
    let (setup, manager, keys) = tenants(20);
    for key in &keys {
        ask(&setup, &manager, key).await.0.unwrap();
    }
    go_down(&setup, What::Refuse);
    // This failure is a sign against the sessions of all tenants.
    ask(&setup, &manager, &keys[0]).await.0.unwrap_err();
    let start = Instant::now();
    for key in &keys {
        assert!(is_down(&ask(&setup, &manager, key).await.0));
    }
    assert!(start.elapsed() <= 20 * SECOND, "{:?}", start.elapsed());
    let mut events = manager.events();
    for key in &keys {
        assert!(is_down(&ask(&setup, &manager, key).await.0));
    }
    assert!(events.try_recv().is_none(), "nothing is tried for them");
    setup.sipher.clear_faults();
    pass(10.0).await;
    for key in &keys {
        let (answer, took) = ask(&setup, &manager, key).await;
        answer.unwrap();
        assert_eq!(took, Duration::ZERO);
    }
    assert_eq!(setup.creates(), 20, "the server had kept them");
}

/// Returns how many outages were reported, and how long each ended outage had lasted.
fn outages_told(events: &mut Events) -> (usize, Vec<Duration>) {
    let (mut begun, mut ended) = (0, Vec::new());
    while let Some(event) = events.try_recv() {
        match event {
            Event::ServerDown { error, .. } => {
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                begun += 1;
            }
            Event::ServerUp { lasted, .. } => ended.push(lasted),
            _ => {}
        }
    }
    (begun, ended)
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_told_once_when_it_begins_and_once_when_it_ends() {
    for what in outages() {
        let (setup, manager, keys) = tenants(5);
        let mut events = manager.events();
        go_down(&setup, what);
        let waits = tokio::spawn(setup.service(&manager).oneshot(request(&keys[0])));
        pass(0.1).await;
        assert_eq!(outages_told(&mut events), (1, vec![]), "at once");
        waits.await.unwrap().unwrap_err();
        for _ in 0..60 {
            for key in &keys {
                ask(&setup, &manager, key).await.0.unwrap_err();
            }
            pass(1.0).await;
        }
        assert_eq!(outages_told(&mut events), (0, vec![]));
        setup.sipher.clear_faults();
        pass(10.0).await;
        for key in &keys {
            ask(&setup, &manager, key).await.0.unwrap();
        }
        let (begun, ended) = outages_told(&mut events);
        assert_eq!((begun, ended.len()), (0, 1));
        assert!(
            ended[0] > 70 * SECOND && ended[0] < 100 * SECOND,
            "{ended:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_the_server_told_to_wait_does_so_though_an_outage_ends_for_others() {
    let (setup, manager, keys) = tenants(2);
    let told = What::Answer {
        status: 503,
        headers: vec![
            ("retry-after".into(), "15".into()),
            ("ratelimit-policy".into(), "100;w=60".into()),
            ("x-request-id".into(), "1".into()),
        ],
        body: r#"{"success":false,"error":{"code":"SERVICE_UNAVAILABLE","message":"m"}}"#.into(),
    };
    setup.sipher.fault(Fault::new(told).on(Target::Create));
    setup
        .sipher
        .fault(Fault::new(What::Refuse).on(Target::Create).times(2));
    let start = Instant::now();
    let waits = tokio::spawn(setup.service(&manager).oneshot(request(&keys[0])));
    pass(0.1).await;
    let (answer, took) = ask(&setup, &manager, &keys[1]).await;
    answer.unwrap();
    assert!(took < 10 * SECOND, "{took:?}");
    waits.await.unwrap().unwrap();
    assert!(start.elapsed() >= 15 * SECOND, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn one_tenant_that_a_gateway_refuses_holds_back_few_others() {
    for (asks_every, others_every) in [(0.1, 30.0), (0.1, 3.0), (1.0, 7.0)] {
        let setup = Setup::new();
        let refused = setup.sipher.api_key(Tier::Pro);
        let transport = setup.behind_a_gateway_that_refuses(&refused);
        let manager = setup.builder().transport(transport).build().unwrap();
        let asking = manager.clone();
        tokio::spawn(async move {
            loop {
                let _ = asking.ready(refused.as_str(), SessionDefaults::new()).await;
                pass(asks_every).await;
            }
        });
        let mut failed = 0;
        for _ in 0..100 {
            pass(others_every).await;
            let key = setup.sipher.api_key(Tier::Pro);
            let session = manager.ready(key, SessionDefaults::new()).await;
            failed += usize::from(session.is_err());
        }
        assert!(failed <= 40, "{failed} of 100, one each {others_every} s");
    }
}
