//! Calls for programs that serve many tenants.

use sipher_session::{
    ApiKey, Chain, ErrorKind, InlineDefaults, SessionDefaults,
    testing::{Fault, Target, Tier, What},
};
use tower::ServiceExt;

use crate::support::{SECOND, Setup, generate, ours, pass};

#[tokio::test(start_paused = true)]
async fn a_tenant_that_was_warmed_up_makes_no_call_for_its_first_request() {
    let setup = Setup::new();
    let manager = setup.manager();
    let key = setup.sipher.api_key(Tier::Pro);
    let defaults = SessionDefaults::new().chain(Chain::Sui);
    let session = manager.ready(key.as_str(), defaults.clone()).await.unwrap();
    assert_eq!(session.defaults().chain, Some(Chain::Sui));
    let mut request = generate();
    request
        .headers_mut()
        .insert("x-api-key", key.parse().unwrap());
    request.extensions_mut().insert(defaults.clone());
    setup.service(&manager).oneshot(request).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("sui"));
    assert_eq!(setup.sipher.session_calls(), 1);
    let error = manager.ready("", defaults).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_holds_are_cleared_tries_at_once_and_no_other_does() {
    let refused = [
        What::Status(401),
        What::Status(403),
        What::Error(429, "DAILY_QUOTA_EXCEEDED"),
        What::Status(400),
    ];
    for what in refused {
        let setup = Setup::new();
        let manager = setup.manager();
        let keys = [Tier::Pro, Tier::Pro].map(|tier| ApiKey::from(setup.sipher.api_key(tier)));
        let fault = Fault::new(what).on(Target::Create);
        setup.sipher.fault(fault.always());
        for key in &keys {
            let first = manager.ready(key, SessionDefaults::new()).await;
            first.unwrap_err();
        }
        setup.sipher.clear_faults();
        pass(1.0).await;
        let [one, other] = &keys;
        manager
            .ready(one, SessionDefaults::new())
            .await
            .unwrap_err();
        assert!(manager.clear_holds(one));
        assert!(!manager.clear_holds(one), "nothing is left of it");
        manager.ready(one, SessionDefaults::new()).await.unwrap();
        manager
            .ready(other, SessionDefaults::new())
            .await
            .unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_makes_no_call_and_keeps_no_session_alive() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(600 * SECOND).build().unwrap();
    assert!(manager.health().is_ready(), "nothing speaks against it");
    assert!(!manager.health().has_session);
    manager.session().await.unwrap();
    for second in 0..1_200 {
        let health = manager.health();
        assert!(health.is_ready());
        assert_eq!(health.has_session, second < 582, "{second}");
        pass(1.0).await;
    }
    assert_eq!(setup.sipher.session_calls(), 1);
    assert_eq!(setup.questions(), 0);
    assert_eq!(manager.health().live_sessions, 0);
}

#[tokio::test(start_paused = true)]
async fn a_probe_does_not_make_a_session_the_last_to_make_room() {
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(2).build().unwrap();
    manager.session().await.unwrap();
    pass(10.0).await;
    for _ in 0..2 {
        let key = setup.sipher.api_key(Tier::Pro);
        manager.ready(key, SessionDefaults::new()).await.unwrap();
        for _ in 0..70 {
            manager.health();
            pass(1.0).await;
        }
    }
    assert!(!manager.health().has_session);
}

#[tokio::test(start_paused = true)]
async fn a_probe_tells_of_an_outage_of_a_hold_and_of_a_shutdown() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup.sipher.fault(Fault::new(What::Refuse).always());
    let error = setup.call(&manager).await.unwrap_err();
    let health = manager.health();
    assert!(!health.is_ready());
    assert!(health.server_down_for.unwrap() > 5 * SECOND);
    let held = health.held_back.unwrap();
    assert_eq!(held.kind(), ours(&error).kind());
    assert!(held.retry_after().is_some());
    setup.sipher.clear_faults();
    pass(10.0).await;
    setup.call(&manager).await.unwrap();
    let health = manager.health();
    assert!(health.is_ready() && health.has_session);
    assert!(health.server_down_for.is_none() && health.held_back.is_none());
    manager.shutdown(SECOND).await;
    assert!(manager.health().is_shut_down && !manager.health().is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_probe_tells_of_an_outage_also_where_there_is_a_session_that_nobody_may_use() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup.call(&manager).await.unwrap();
    setup.sipher.fault(Fault::new(What::Refuse).always());
    for _ in 0..3 {
        let error = setup.call(&manager).await.unwrap_err();
        let health = manager.health();
        assert!(!health.has_session);
        if let Some(error) = error.downcast_ref::<sipher_session::Error>() {
            assert!(!health.is_ready(), "{error}: {health:?}");
            assert_eq!(health.held_back.unwrap().kind(), error.kind());
        }
    }
    setup.sipher.clear_faults();
    pass(10.0).await;
    assert!(manager.health().is_ready(), "the next request finds out");
    setup.call(&manager).await.unwrap();
    assert!(manager.health().has_session);
}

#[tokio::test(start_paused = true)]
async fn a_probe_names_its_own_key_whoever_has_found_out() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup.sipher.fault(Fault::new(What::Refuse).always());
    let other = ApiKey::from(setup.sipher.api_key(Tier::Pro));
    let found_out = manager.ready(&other, SessionDefaults::new()).await;
    let fingerprint = other.fingerprint().to_string();
    assert!(found_out.unwrap_err().to_string().contains(&fingerprint));
    let held = manager.health().held_back.unwrap().to_string();
    let own = ApiKey::from(setup.key.as_str()).fingerprint().to_string();
    assert!(held.contains(&own) && held.contains("chain near"), "{held}");
    assert!(!held.contains(&fingerprint), "{held}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_tells_that_there_is_no_room_for_a_session() {
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(1).build().unwrap();
    let others: Vec<_> = (0..10).map(|_| setup.sipher.api_key(Tier::Pro)).collect();
    for key in &others {
        let key = key.as_str();
        manager.ready(key, SessionDefaults::new()).await.unwrap();
    }
    let error = setup.call(&manager).await.unwrap_err();
    let health = manager.health();
    assert!(!health.is_ready(), "{error}");
    assert_eq!(health.held_back.unwrap().kind(), ErrorKind::Budget);
    pass(61.0).await;
    assert!(manager.health().is_ready());
}

#[tokio::test(start_paused = true)]
async fn keys_that_nobody_knows_never_starve_those_that_the_server_has_accepted() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    let tenants: Vec<_> = (0..10).map(|_| setup.sipher.api_key(Tier::Pro)).collect();
    for key in &tenants {
        let key = key.as_str();
        manager.ready(key, SessionDefaults::new()).await.unwrap();
    }
    // The tenants' sessions have to be created again and again.
    for minute in 0..10 {
        pass(60.0).await;
        for number in 0..200 {
            let key = format!("sk_pro_madeup{minute}x{number}");
            let manager = manager.clone();
            tokio::spawn(async move { manager.ready(key, SessionDefaults::new()).await });
        }
        pass(1.0).await;
        for key in &tenants {
            let start = tokio::time::Instant::now();
            let key = key.as_str();
            manager.ready(key, SessionDefaults::new()).await.unwrap();
            assert!(start.elapsed() < SECOND, "{minute}: {:?}", start.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn many_new_tenants_that_come_at_once_may_use_all_of_the_budget_where_there_are_no_others() {
    let setup = Setup::new();
    let manager = sipher_session::SessionManager::builder()
        .transport(sipher_session::api::Transport::new(setup.sipher.clone()))
        .clock(setup.clock.clone())
        .build()
        .unwrap();
    setup.sipher.set_latency(SECOND);
    let start = tokio::time::Instant::now();
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let (manager, key) = (manager.clone(), setup.sipher.api_key(Tier::Pro));
        all.spawn(async move { manager.ready(key, SessionDefaults::new()).await });
    }
    assert!(all.join_all().await.iter().all(Result::is_ok));
    assert_eq!(start.elapsed(), SECOND);
}

/// The keys of 300 tenants were accepted once and are refused now. The tenants still ask for other sessions.
#[tokio::test(start_paused = true)]
async fn keys_that_the_server_refuses_now_never_starve_those_that_it_accepts() {
    let setup = Setup::new();
    setup.sipher.set_rate_limit(None);
    let builder = setup.builder().max_sessions(10_000);
    let manager = builder.max_wait(5 * SECOND).build().unwrap();
    let good = setup.sipher.api_key(Tier::Enterprise);
    let revoked: Vec<_> = (0..300).map(|_| setup.sipher.api_key(Tier::Pro)).collect();
    for key in revoked.iter().chain([&good]) {
        let warmed_up = manager.ready(key.as_str(), SessionDefaults::new());
        warmed_up.await.unwrap();
        pass(1.1).await;
    }
    for key in revoked {
        setup.sipher.revoke_key(&key);
        let (manager, near) = (manager.clone(), SessionDefaults::new().chain(Chain::Near));
        tokio::spawn(async move {
            loop {
                drop(manager.ready(key.as_str(), near.clone()).await);
                pass(5.0).await;
            }
        });
        pass(0.01).await;
    }
    // Until each key has been refused once, it counts as accepted.
    pass(600.0).await;
    let mut failed = 0;
    for number in 0..120 {
        pass(5.0).await;
        let own = own_defaults(number);
        failed += usize::from(manager.ready(good.as_str(), own).await.is_err());
    }
    assert!(failed <= 6, "{failed} of 120");
}

fn own_defaults(number: u32) -> SessionDefaults {
    let mut defaults = SessionDefaults::new();
    defaults.default_viewing_key = Some(format!("0x{number:08x}").as_str().into());
    defaults
}

/// A layer sets the defaults, so the manager's own key and defaults say nothing.
#[tokio::test(start_paused = true)]
async fn a_probe_tells_of_an_outage_that_the_managers_own_defaults_did_not_meet() {
    let setup = Setup::new();
    let none = SessionDefaults::new();
    let manager = setup.builder().defaults(none).build().unwrap();
    let call = async || {
        let mut request = generate();
        let near = SessionDefaults::new().chain(Chain::Near);
        request.extensions_mut().insert(near);
        setup.service(&manager).oneshot(request).await
    };
    call().await.unwrap();
    setup.sipher.fault(Fault::new(What::Refuse).always());
    assert!(manager.health().is_ready(), "no call has met it");
    let mut ready = 0;
    for _ in 0..60 {
        call().await.unwrap_err();
        pass(1.0).await;
        let health = manager.health();
        assert!(health.held_back.is_none(), "a create has not failed");
        ready += u32::from(health.is_ready());
    }
    assert!((1..=20).contains(&ready), "{ready} of 60");

    // Once no request comes, the probe must let the next one try.
    pass(10.0).await;
    assert!(manager.health().is_ready());
    setup.sipher.clear_faults();
    call().await.unwrap();
    assert!(manager.health().is_ready() && !manager.health().is_cut_off);
}

/// The server refuses sessions, and requests go out with the defaults in their bodies.
#[tokio::test(start_paused = true)]
async fn a_probe_counts_no_hold_where_requests_need_no_session() {
    for (inline, is_ready) in [(InlineDefaults::Off, false), (InlineDefaults::Always, true)] {
        let setup = Setup::new();
        let manager = setup.builder().inline_defaults(inline).build().unwrap();
        let quota = Fault::new(What::Error(429, "DAILY_QUOTA_EXCEEDED"));
        setup.sipher.fault(quota.on(Target::Create).always());
        manager.session().await.unwrap_err();
        let health = manager.health();
        assert!(health.held_back.is_some());
        assert_eq!(health.is_ready(), is_ready, "{inline:?}");
    }
}
