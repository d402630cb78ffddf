//! Health says nothing, and asking for a session instead does not help either. Requests still use the live sessions.
//! Their answers are marked as doubtful, and the manager makes few calls.

use http::Method;
use sipher_session::{
    BoxError, Event, SessionManager,
    testing::{Fault, Target, Tier, What},
};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::support::{Call, SECOND, Setup, generate, is_of, pass};

fn of_tenant(key: &str) -> Call {
    let mut request = generate();
    let key = key.parse().unwrap();
    request.headers_mut().insert("x-api-key", key);
    request
}

async fn tenants(setup: &Setup, manager: &SessionManager, count: usize) -> Vec<String> {
    let keys: Vec<_> = (0..count)
        .map(|_| setup.sipher.api_key(Tier::Pro))
        .collect();
    for key in &keys {
        call(setup, manager, key).await.unwrap();
        pass(1.0).await;
    }
    keys
}

async fn call(setup: &Setup, manager: &SessionManager, key: &str) -> Result<(), BoxError> {
    let answer = setup.service(manager).oneshot(of_tenant(key)).await;
    answer.map(drop)
}

fn always(setup: &Setup, what: What, on: Target) {
    setup.sipher.fault(Fault::new(what).on(on).always());
}

#[tokio::test(start_paused = true)]
async fn where_sessions_cannot_be_asked_for_either_none_is_given_up_and_few_calls_are_made() {
    let refusals = [
        What::Status(500),
        What::Html(404),
        What::Html(403),
        What::Html(502),
        What::Hang,
    ];
    for count in [1, 8] {
        for what in refusals.clone() {
            let setup = Setup::new();
            setup.sipher.set_rate_limit(None);
            let manager = setup.manager();
            let keys = tenants(&setup, &manager, count).await;
            always(&setup, What::Html(403), Target::Health);
            always(&setup, what.clone(), Target::Get);
            let (start, before) = (Instant::now(), setup.sipher.session_calls());
            for key in keys.iter().cycle() {
                if start.elapsed() >= 1_800 * SECOND {
                    break;
                }
                pass(5.0).await;
                let answer = call(&setup, &manager, key).await;
                answer.unwrap_or_else(|error| panic!("{count}, {what:?}: {error}"));
            }
            let made = setup.sipher.session_calls() - before;
            // One call in five minutes, or two if the oldest session belongs to another tenant.
            assert!((1..=14).contains(&made), "{count}, {what:?}: {made}");
        }
    }
}

/// One session was lost and replaced. That loss is a sign against the other session, and not against the successor. The
/// successor's requests fail as well while nothing reaches the server.
#[tokio::test(start_paused = true)]
async fn where_nothing_reaches_the_server_no_session_goes_on_that_was_made_after_the_last_sign() {
    for what in [
        What::LoseAnswer,
        What::Refuse,
        What::Html(502),
        What::Cloudflare(521),
    ] {
        let setup = Setup::new();
        setup.sipher.set_rate_limit(None);
        let manager = setup.builder().max_wait(90 * SECOND).build().unwrap();
        let keys = tenants(&setup, &manager, 2).await;
        setup.sipher.evict(&setup.last_id().unwrap());
        pass(1_200.0).await;
        // The first call finds the loss, and the second gets the successor.
        for _ in 0..2 {
            let _ = call(&setup, &manager, &keys[1]).await;
            pass(1.0).await;
        }
        always(&setup, what.clone(), Target::Health);
        always(&setup, what.clone(), Target::Get);
        let _back = tokio::spawn(setup.service(&manager).oneshot(of_tenant(&keys[0])));
        pass(40.0).await;
        let answer = call(&setup, &manager, &keys[1]).await;
        assert!(answer.is_err(), "{what:?}");
    }
}

/// Health, creates and all other calls get through. An idle tenant's session has to be asked for, and that call fails.
#[tokio::test(start_paused = true)]
async fn where_session_calls_alone_do_not_get_through_an_idle_tenant_gets_another_session_and_holds_up_nobody()
 {
    for what in [What::Refuse, What::LoseAnswer] {
        let setup = Setup::new();
        let builder = setup.builder().ttl(1_800 * SECOND).max_wait(10 * SECOND);
        let manager = builder.build().unwrap();
        let keys = tenants(&setup, &manager, 2).await;
        for _ in 0..46 {
            call(&setup, &manager, &keys[1]).await.unwrap();
            pass(10.0).await;
        }
        always(&setup, what.clone(), Target::Get);
        let start = Instant::now();
        while start.elapsed() < 600 * SECOND {
            let back = setup.service(&manager).oneshot(of_tenant(&keys[0]));
            let back = tokio::spawn(back);
            pass(5.0).await;
            call(&setup, &manager, &keys[1]).await.unwrap();
            back.await.unwrap().unwrap();
        }
        assert!(setup.gets() <= 6, "{what:?}: {}", setup.gets());
    }
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_session_call_hangs_keeps_nobody_from_theirs() {
    let setup = Setup::new();
    setup.sipher.set_rate_limit(None);
    let first = setup.sipher.api_key(Tier::Pro);
    let hangs = first.clone();
    let transport = setup
        .behind_what_hangs(move |call: &Call| call.method() == Method::GET && is_of(call, &hangs));
    let builder = setup.builder().max_wait(5 * SECOND).transport(transport);
    let manager = builder.build().unwrap();
    call(&setup, &manager, &first).await.unwrap();
    pass(1.0).await;
    let other = tenants(&setup, &manager, 1).await.remove(0);
    always(&setup, What::Html(403), Target::Health);
    for _ in 0..360 {
        pass(5.0).await;
        call(&setup, &manager, &other).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_only_windows_show_is_found_in_seconds_where_health_alone_cannot_be_reached()
{
    for what in [What::Html(502), What::Html(530), What::Refuse] {
        let setup = Setup::new();
        let manager = setup.manager();
        always(&setup, what.clone(), Target::Health);
        for _ in 0..20 {
            setup.call(&manager).await.unwrap();
            pass(1.0).await;
        }
        let mut events = manager.events();
        setup.sipher.restart();
        pass(3.0).await;
        let (start, mut wrong) = (Instant::now(), 0);
        loop {
            if setup.call(&manager).await.is_ok() {
                if setup.last_chain().as_deref() == Some("near") {
                    break;
                }
                wrong += 1;
            }
            pass(1.0).await;
        }
        assert!(wrong <= 1, "{what:?}: {wrong}");
        assert!(
            start.elapsed() <= 6 * SECOND,
            "{what:?}: {:?}",
            start.elapsed()
        );
        let mut events = std::iter::from_fn(|| events.try_recv());
        assert!(events.any(|event| matches!(event, Event::Lost { .. })));
    }
}

/// The server is back and health says so, while an older session call is still in flight.
#[tokio::test(start_paused = true)]
async fn where_health_answers_during_a_session_call_in_its_place_no_other_session_is_asked_for() {
    let setup = Setup::new();
    let manager = setup.manager();
    let keys = tenants(&setup, &manager, 3).await;
    always(&setup, What::Refuse, Target::Any);
    let _ = call(&setup, &manager, &keys[1]).await;
    pass(40.0).await;
    setup.sipher.clear_faults();
    always(&setup, What::Refuse, Target::Health);
    always(&setup, What::Hang, Target::Get);
    let (second, third) = tokio::join!(call(&setup, &manager, &keys[1]), async {
        pass(0.1).await;
        setup.sipher.clear_faults();
        call(&setup, &manager, &keys[2]).await
    });
    second.unwrap();
    third.unwrap();
    assert_eq!(setup.gets(), 1, "the oldest session alone");
    assert_eq!(setup.creates(), 3, "all sessions go on");
}

/// The server has dropped one session, and says so at the time at which health answers again.
#[tokio::test(start_paused = true)]
async fn where_health_answers_while_a_session_turns_out_to_be_lost_no_other_is_asked_for() {
    let setup = Setup::new();
    let builder = setup.builder().max_wait(60 * SECOND);
    let manager = builder.create_timeout(30 * SECOND).build().unwrap();
    let mut keys = tenants(&setup, &manager, 1).await;
    setup.sipher.evict(&setup.last_id().unwrap());
    keys.extend(tenants(&setup, &manager, 2).await);
    pass(70.0).await;
    always(&setup, What::Refuse, Target::Health);
    always(&setup, What::Delay(15 * SECOND), Target::Get);
    let (first, third) = tokio::join!(call(&setup, &manager, &keys[0]), async {
        pass(12.0).await;
        assert_eq!(setup.gets(), 1, "in place of health");
        setup.sipher.clear_faults();
        call(&setup, &manager, &keys[2]).await
    });
    first.unwrap();
    third.unwrap();
    for key in &keys {
        call(&setup, &manager, key).await.unwrap();
    }
    assert_eq!(setup.gets(), 1, "the lost session alone");
    assert_eq!(setup.creates(), 4, "the others go on");
    setup.sipher.assert_no_dead_id();
}
