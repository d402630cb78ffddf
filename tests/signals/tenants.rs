//! The signals for an operator of many tenants: which tenant is in trouble, and when calls run out.

use std::time::Duration;

use sipher_session::{
    ApiKey, Event, SessionDefaults,
    testing::{Fault, Target, Tier, What},
};
use tracing::Level;

use crate::{
    assert_metrics,
    capture::{Capture, Logged},
    recorder,
    support::{SECOND, Setup, pass},
};

fn told(capture: &Capture, message: &str) -> Vec<Logged> {
    let all = capture.logged().into_iter();
    all.filter(|line| line.message == message).collect()
}

#[tokio::test(start_paused = true)]
async fn a_budget_that_is_used_up_is_one_line_and_so_is_its_end_however_many_are_refused() {
    let (capture, _guard) = Capture::start();
    let recorder = recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let setup = Setup::new();
    let builder = setup.builder().call_budget(6, 2);
    let manager = builder.max_wait(5 * SECOND).build().unwrap();
    let mut events = manager.events();
    for _ in 0..2 {
        let key = setup.sipher.api_key(Tier::Pro);
        manager.ready(key, SessionDefaults::new()).await.unwrap();
        pass(10.0).await;
    }
    manager.session().await.unwrap();
    let mut refused = 0;
    for _ in 0..200 {
        let key = setup.sipher.api_key(Tier::Pro);
        let session = manager.ready(key, SessionDefaults::new()).await;
        refused += u64::from(session.is_err());
        // A probe of the health refuses no request.
        manager.health();
    }
    assert!(refused > 190, "{refused}");
    let used_up = told(&capture, "budget used up");
    assert_eq!(used_up.len(), 1, "{used_up:#?}");
    assert_eq!(used_up[0].level, Level::WARN);
    used_up[0].has_exactly(&["next_call_in"]);
    let next: f64 = used_up[0].get("next_call_in").parse().unwrap();
    assert!(next > 5.0 && next <= 20.0, "{next}");
    assert_eq!(manager.stats().refused_for_budget, refused);
    assert_metrics(&recorder, &[("refused_for_budget_total", refused)]);
    assert!(told(&capture, "budget free again").is_empty());
    pass(30.0).await;
    for _ in 0..2 {
        let key = setup.sipher.api_key(Tier::Pro);
        manager.ready(key, SessionDefaults::new()).await.unwrap();
        pass(20.0).await;
    }
    let free = told(&capture, "budget free again");
    assert_eq!((free.len(), free[0].level), (1, Level::INFO));
    let lasted: f64 = free[0].get("lasted").parse().unwrap();
    assert!((25.0..60.0).contains(&lasted), "{lasted}");
    let all = std::iter::from_fn(|| events.try_recv());
    let of_budget =
        all.filter(|event| matches!(event, Event::BudgetUsedUp { .. } | Event::BudgetFree { .. }));
    assert_eq!(of_budget.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_room_for_a_session_is_counted_and_is_no_lack_of_calls() {
    let (capture, _guard) = Capture::start();
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(1).build().unwrap();
    for number in 0..12 {
        let key = setup.sipher.api_key(Tier::Pro);
        let session = manager.ready(key, SessionDefaults::new()).await;
        assert_eq!(session.is_ok(), number < 10);
    }
    assert_eq!(manager.stats().refused_for_budget, 2);
    assert!(told(&capture, "budget used up").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_refuses_one_tenant_is_an_outage_once_and_fails_nobody_else() {
    let (capture, _guard) = Capture::start();
    let setup = Setup::new();
    let refused = setup.sipher.api_key(Tier::Pro);
    let transport = setup.behind_a_gateway_that_refuses(&refused);
    let manager = setup.builder().transport(transport).build().unwrap();
    manager.session().await.unwrap();
    let asking = manager.clone();
    tokio::spawn(async move {
        loop {
            let _ = asking.ready(refused.as_str(), SessionDefaults::new()).await;
            pass(0.1).await;
        }
    });
    for number in 0..200 {
        pass(7.0).await;
        let key = setup.sipher.api_key(Tier::Pro);
        let session = manager.ready(key, SessionDefaults::new()).await;
        assert!(session.is_ok(), "{number}: {session:?}");
    }
    let (down, up) = (told(&capture, "server down"), told(&capture, "server up"));
    assert_eq!((down.len(), up.len()), (1, 1), "{down:#?} {up:#?}");
    assert!(told(&capture, "create failed").len() > 10);
}

#[tokio::test(start_paused = true)]
async fn a_real_outage_is_told_also_after_a_tenant_had_trouble_of_its_own() {
    let (capture, _guard) = Capture::start();
    let setup = Setup::new();
    let refused = setup.sipher.api_key(Tier::Pro);
    let transport = setup.behind_a_gateway_that_refuses(&refused);
    let manager = setup.builder().transport(transport).build().unwrap();
    for _ in 0..3 {
        let key = setup.sipher.api_key(Tier::Pro);
        manager.ready(key, SessionDefaults::new()).await.unwrap();
        let error = manager
            .ready(refused.as_str(), SessionDefaults::new())
            .await;
        error.unwrap_err();
        pass(60.0).await;
    }
    let before = told(&capture, "server down").len();
    setup.sipher.fault(Fault::new(What::Html(502)).always());
    let key = setup.sipher.api_key(Tier::Pro);
    manager
        .ready(key.as_str(), SessionDefaults::new())
        .await
        .unwrap_err();
    assert_eq!(told(&capture, "server down").len(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_the_free_question_finds_says_what_it_met() {
    for (what, expected) in [
        (What::Refuse, "refused"),
        (What::Html(502), "502"),
        (What::Cloudflare(521), "521"),
    ] {
        let (capture, _guard) = Capture::start();
        let setup = Setup::new();
        let manager = setup.manager();
        let mut events = manager.events();
        setup.call(&manager).await.unwrap();
        setup.sipher.fault(Fault::new(what.clone()).always());
        pass(120.0).await;
        setup.call(&manager).await.unwrap_err();
        let down = told(&capture, "server down");
        assert_eq!(down.len(), 1, "{what:?}");
        assert!(down[0].get("error").contains(expected), "{down:#?}");
        for failed in told(&capture, "check failed") {
            assert!(failed.get("error").contains(expected), "{failed:#?}");
        }
        let found = std::iter::from_fn(|| events.try_recv()).find_map(|event| match event {
            Event::ServerDown { error, .. } => Some(error),
            _ => None,
        });
        let error = found.unwrap();
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
            error.source()
        });
        let text: Vec<_> = causes.map(ToString::to_string).collect();
        assert!(text.iter().any(|line| line.contains(expected)), "{text:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_that_a_shutdown_ends_is_no_warning() {
    let (capture, _guard) = Capture::start();
    let setup = Setup::new();
    let manager = setup.builder().call_budget(6, 1).build().unwrap();
    manager.session().await.unwrap();
    let waits = tokio::spawn({
        let (manager, defaults) = (manager.clone(), SessionDefaults::new());
        let key = setup.key.clone();
        async move { manager.ready(key, defaults).await }
    });
    pass(2.0).await;
    manager.shutdown(30 * SECOND).await;
    waits.await.unwrap().unwrap_err();
    let failed = told(&capture, "create failed");
    assert_eq!(failed.len(), 1, "{failed:#?}");
    assert_eq!(failed[0].get("kind"), "Shutdown");
    assert_eq!(failed[0].level, Level::DEBUG);
}

#[tokio::test(start_paused = true)]
async fn a_failed_create_names_its_tenant_in_short_and_when_the_next_try_is_due() {
    let (capture, _guard) = Capture::start();
    let setup = Setup::new();
    let manager = setup.manager();
    let key = setup.sipher.api_key(Tier::Pro);
    let quota = What::Error(429, "DAILY_QUOTA_EXCEEDED");
    setup.sipher.fault(Fault::new(quota).on(Target::Create));
    let defaults = SessionDefaults::new().chain(sipher_session::Chain::Sui);
    manager.ready(key.as_str(), defaults).await.unwrap_err();
    let failed = told(&capture, "create failed");
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].get("defaults"), "chain sui");
    let fingerprint = ApiKey::from(key.as_str()).fingerprint().to_string();
    assert_eq!(failed[0].get("api_key"), fingerprint);
    let next: f64 = failed[0].get("next_attempt_in").parse().unwrap();
    assert!(next > 0.0 && next <= Duration::from_secs(900).as_secs_f64());
}
