//! A gateway refuses only health. The server works, although this looks like an outage.

use std::{future::ready, time::Duration};

use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use sipher_session::{
    BoxError, Chain, ErrorKind, Event, SessionDefaults, SessionLayer, SessionManager,
    api::Transport,
    testing::{Fault, Target, Tier, What},
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{Call, SECOND, Setup, generate, ours, pass};

/// All ways in which health can be refused while other calls work.
fn refusals() -> Vec<What> {
    let mut all = vec![
        What::Html(502),
        What::Html(504),
        What::Html(503),
        What::Html(403),
        What::Html(404),
        What::Status(404),
        What::RedirectTo("https://elsewhere.example/".into()),
        What::Refuse,
        What::LoseRequest,
        What::LoseAnswer,
        What::HalfBody,
    ];
    all.extend((520..=527).chain([530]).map(What::Cloudflare));
    all
}

fn refuse_health(setup: &Setup, what: What) {
    setup
        .sipher
        .fault(Fault::new(what).on(Target::Health).always());
}

/// Counts the events that report the start and the end of an outage.
fn told(events: &mut sipher_session::Events) -> (usize, usize) {
    let (mut down, mut up) = (0, 0);
    while let Some(event) = events.try_recv() {
        down += usize::from(matches!(event, Event::ServerDown { .. }));
        up += usize::from(matches!(event, Event::ServerUp { .. }));
    }
    (down, up)
}

#[tokio::test(start_paused = true)]
async fn health_that_is_refused_alone_fails_no_request_and_costs_one_session_call_in_five_minutes()
{
    for what in refusals() {
        let name = format!("{what:?}");
        let setup = Setup::new();
        let sessions = setup.manager();
        setup.call(&sessions).await.unwrap();
        refuse_health(&setup, what);
        let start = Instant::now();
        // Again and again, nothing proves the process for a while.
        for number in 0..20 {
            pass(70.0).await;
            let asked = Instant::now();
            setup.call(&sessions).await.expect(&name);
            let most = if number == 0 { 10 * SECOND } else { SECOND };
            assert!(asked.elapsed() < most, "{name}: {:?}", asked.elapsed());
        }
        let (minutes, gets) = (start.elapsed().as_secs() / 60, setup.gets());
        assert!((4..=5).contains(&gets), "{name}: {gets} in {minutes}");
        assert_eq!(setup.creates(), 1, "{name}");
        // A restart is still noticed.
        setup.sipher.restart();
        pass(310.0).await;
        setup.call(&sessions).await.unwrap();
        assert_eq!(setup.creates(), 2, "{name}");
        setup.sipher.assert_no_dead_id();
    }
}

/// With one call a second, requests go on during the question after the first hint. Their answers show that the server works.
#[tokio::test(start_paused = true)]
async fn where_requests_go_on_all_the_time_nobody_waits_and_no_outage_is_told_of() {
    for what in refusals() {
        let name = format!("{what:?}");
        let setup = Setup::new();
        setup.sipher.set_rate_limit(None);
        let sessions = setup.manager();
        let mut events = sessions.events();
        setup.call(&sessions).await.unwrap();
        refuse_health(&setup, what);
        for _ in 0..1_200 {
            pass(1.0).await;
            let asked = Instant::now();
            setup.call(&sessions).await.expect(&name);
            assert!(asked.elapsed() < SECOND, "{name}: {:?}", asked.elapsed());
        }
        assert_eq!(told(&mut events), (0, 0), "{name}");
        assert!(setup.gets() <= 4, "{name}: {}", setup.gets());
        let asked = setup.questions();
        assert!(asked <= 40, "{name}: {asked} in 20 minutes");
        assert_eq!(setup.creates(), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_falls_between_two_calls_is_found_by_its_window_though_health_is_refused() {
    for what in [What::Html(502), What::Cloudflare(521), What::Refuse] {
        let name = format!("{what:?}");
        let setup = Setup::new();
        let sessions = setup.manager();
        setup.call(&sessions).await.unwrap();
        refuse_health(&setup, what);
        for _ in 0..100 {
            pass(1.0).await;
            setup.call(&sessions).await.expect(&name);
        }
        pass(10.0).await;
        setup.sipher.restart();
        pass(1.0).await;
        for _ in 0..5 {
            setup.call(&sessions).await.expect(&name);
            pass(1.0).await;
        }
        assert_eq!(setup.creates(), 2, "{name}");
        let wrong = setup.uses().into_iter();
        let wrong = wrong.filter(|it| it.chain.as_deref() != Some("near"));
        assert_eq!(wrong.count(), 1, "{name}");
    }
}

fn request(key: &str) -> Call {
    let mut request = generate();
    let key = key.parse().unwrap();
    request.headers_mut().insert("x-api-key", key);
    request
}

/// Ten tenants, each of which calls rarely.
#[tokio::test(start_paused = true)]
async fn of_several_tenants_none_fails_and_one_session_is_asked_for_in_five_minutes() {
    for what in [What::Html(502), What::Cloudflare(521), What::Refuse] {
        let name = format!("{what:?}");
        let setup = Setup::new();
        let sessions = setup.manager();
        let keys: Vec<_> = (0..10).map(|_| setup.sipher.api_key(Tier::Pro)).collect();
        let call = |key: &str| setup.service(&sessions).oneshot(request(key));
        for key in &keys {
            call(key).await.unwrap();
        }
        refuse_health(&setup, what);
        for _ in 0..15 {
            pass(80.0).await;
            for key in &keys {
                call(key).await.expect(&name);
            }
        }
        assert!((3..=5).contains(&setup.gets()), "{name}: {}", setup.gets());
        assert_eq!(setup.creates(), 10, "{name}");
        setup.sipher.restart();
        pass(310.0).await;
        let gets = setup.gets();
        for key in &keys {
            call(key).await.expect(&name);
        }
        assert_eq!(setup.creates(), 20, "{name}");
        assert!(setup.gets() - gets <= 2, "{name}");
        setup.sipher.assert_no_dead_id();
    }
}

/// Nothing reaches the server. Requests fail at once, and few session calls are tried.
#[tokio::test(start_paused = true)]
async fn while_all_is_refused_requests_fail_at_once_and_few_session_calls_are_tried() {
    for (idle, what) in [
        (1.0, What::Html(502)),
        (1.0, What::Cloudflare(521)),
        (1.0, What::Refuse),
        (70.0, What::Html(502)),
        (70.0, What::Refuse),
    ] {
        let name = format!("{what:?} after {idle} s");
        let setup = Setup::new();
        let sessions = setup.manager();
        let mut events = sessions.events();
        setup.call(&sessions).await.unwrap();
        pass(idle).await;
        setup.sipher.fault(Fault::new(what).always());
        let start = Instant::now();
        drop(setup.call(&sessions).await);
        drop(setup.call(&sessions).await);
        let mut longest = Duration::ZERO;
        while start.elapsed() < 1_200 * SECOND {
            pass(1.0).await;
            let asked = Instant::now();
            let error = setup.call(&sessions).await.unwrap_err();
            assert_eq!(ours(&error).kind(), ErrorKind::Unavailable, "{name}");
            // By then, the question is asked only as often as a request waits for it.
            if start.elapsed() > 60 * SECOND {
                longest = longest.max(asked.elapsed());
            }
        }
        assert!(longest <= SECOND, "{name}: {longest:?}");
        assert!(setup.gets() <= 5, "{name}: {}", setup.gets());
        assert_eq!(told(&mut events), (1, 0), "{name}");
        setup.sipher.clear_faults();
        pass(10.1).await;
        setup.call(&sessions).await.expect(&name);
        assert_eq!(told(&mut events), (0, 1), "{name}");
        assert_eq!(setup.creates(), 1, "{name}");
    }
}

/// First health is refused, then all other calls. Later the other calls work again, but health does not.
#[tokio::test(start_paused = true)]
async fn an_outage_while_health_is_refused_ends_with_the_next_session_call() {
    for what in [What::Html(502), What::Cloudflare(521), What::Refuse] {
        let name = format!("{what:?}");
        let setup = Setup::new();
        let sessions = setup.manager();
        setup.call(&sessions).await.unwrap();
        refuse_health(&setup, what.clone());
        for _ in 0..10 {
            pass(70.0).await;
            setup.call(&sessions).await.expect(&name);
        }
        let gets = setup.gets();
        setup.sipher.clear_faults();
        setup.sipher.fault(Fault::new(what.clone()).always());
        let mut held = 0;
        for _ in 0..400 {
            pass(1.0).await;
            held += usize::from(setup.call(&sessions).await.is_err_and(|error| {
                // From the moment at which a session call has failed, too.
                ours_or(&error) == Some(ErrorKind::Unavailable)
            }));
        }
        assert!(held > 100, "{name}: {held}");
        assert!(setup.gets() - gets <= 3, "{name}: {}", setup.gets() - gets);
        setup.sipher.clear_faults();
        refuse_health(&setup, what);
        setup.sipher.restart();
        pass(311.0).await;
        setup.call(&sessions).await.expect(&name);
        assert_eq!(setup.creates(), 2, "{name}");
        setup.sipher.assert_no_dead_id();
    }
}

fn ours_or(error: &BoxError) -> Option<ErrorKind> {
    Some(error.downcast_ref::<sipher_session::Error>()?.kind())
}

/// Calls of other tenants are answered while a request of this tenant waits for health.
#[tokio::test(start_paused = true)]
async fn the_answer_to_anybodys_call_says_that_the_server_is_there() {
    let setup = Setup::new();
    let sessions = setup.manager();
    setup.call(&sessions).await.unwrap();
    refuse_health(&setup, What::Html(502));
    pass(70.0).await;
    let waits = tokio::spawn(setup.service(&sessions).oneshot(generate()));
    pass(0.3).await;
    let start = Instant::now();
    let other = setup.sipher.api_key(Tier::Pro);
    let other = setup.service(&sessions).oneshot(request(&other));
    other.await.unwrap();
    waits.await.unwrap().unwrap();
    assert!(start.elapsed() < 3 * SECOND, "{:?}", start.elapsed());
}

/// The oldest session is asked for, whichever tenant waits. If the server has it, it has all younger ones.
#[tokio::test(start_paused = true)]
async fn the_oldest_session_is_asked_for_whoever_waits() {
    for what in [What::Html(502), What::NoUptime] {
        let name = format!("{what:?}");
        let setup = Setup::new();
        let sessions = setup.manager();
        let older = SessionDefaults::new().chain(Chain::Base);
        let older = SessionLayer::new(sessions.clone()).defaults(older);
        let call_older = || older.layer(setup.sipher.clone()).oneshot(generate());
        call_older().await.unwrap();
        pass(1.0).await;
        setup.sipher.restart();
        // The new process creates the younger session. Nobody asks for the older one until its tenant waits.
        setup.call(&sessions).await.unwrap();
        refuse_health(&setup, what);
        for _ in 0..3 {
            pass(70.0).await;
            setup.call(&sessions).await.expect(&name);
        }
        call_older().await.unwrap();
        setup.sipher.assert_no_dead_id();
        assert_eq!(setup.creates(), 3, "{name}");
        let gets = setup.gets();
        assert!(gets <= 3, "{name}: {gets}");
    }
}

/// All tenants' sessions are lost. Only two are asked for.
#[tokio::test(start_paused = true)]
async fn where_the_oldest_session_is_lost_the_youngest_says_whether_all_are() {
    for what in [What::Html(502), What::NoUptime] {
        let name = format!("{what:?}");
        let setup = Setup::new();
        let sessions = setup.manager();
        let keys: Vec<_> = (0..20).map(|_| setup.sipher.api_key(Tier::Pro)).collect();
        let call = |key: &str| setup.service(&sessions).oneshot(request(key));
        for key in &keys {
            call(key).await.unwrap();
            pass(0.1).await;
        }
        refuse_health(&setup, what);
        setup.sipher.restart();
        pass(70.0).await;
        let asked = keys.iter().rev().map(|key| tokio::spawn(call(key)));
        for answer in asked.collect::<Vec<_>>() {
            answer.await.unwrap().expect(&name);
        }
        assert_eq!((setup.gets(), setup.creates()), (2, 40), "{name}");
        setup.sipher.assert_no_dead_id();
    }
}

/// The server restarts between the second and the third create. The answers about the oldest and the youngest session
/// say nothing about those in between.
#[tokio::test(start_paused = true)]
async fn where_the_oldest_is_lost_and_the_youngest_is_not_each_other_one_is_asked_for() {
    let setup = Setup::new();
    let sessions = setup.manager();
    let keys: Vec<_> = (0..4).map(|_| setup.sipher.api_key(Tier::Pro)).collect();
    let call = |key: &str| setup.service(&sessions).oneshot(request(key));
    for key in &keys[..2] {
        call(key).await.unwrap();
        pass(0.1).await;
    }
    refuse_health(&setup, What::NoUptime);
    setup.sipher.restart();
    for key in &keys[2..] {
        call(key).await.unwrap();
        pass(0.1).await;
    }
    pass(70.0).await;
    for key in keys.iter().rev() {
        call(key).await.unwrap();
    }
    setup.sipher.assert_no_dead_id();
    assert_eq!(setup.creates(), 6);
    assert!(setup.gets() <= 4, "{}", setup.gets());
}

/// The key of the oldest session is refused in the meantime. Then another session is asked for.
#[tokio::test(start_paused = true)]
async fn where_the_oldest_session_cannot_be_asked_for_the_callers_own_is() {
    let setup = Setup::new();
    let refused = setup.sipher.api_key(Tier::Pro);
    let (sipher, key) = (setup.sipher.clone(), refused.clone());
    let transport = Transport::new(service_fn(move |call: Call| {
        let is_refused = call.method() == http::Method::GET
            && call
                .headers()
                .get("x-api-key")
                .is_some_and(|it| it.as_bytes() == key.as_bytes());
        let sipher = sipher.clone();
        async move {
            if is_refused {
                let page = Full::from("{}").map_err(BoxError::from).boxed_unsync();
                let mut page = Response::new(page);
                *page.status_mut() = StatusCode::UNAUTHORIZED;
                return ready(Ok::<_, BoxError>(page)).await;
            }
            let answer = sipher.oneshot(call).await?;
            Ok(answer.map(|body| body.map_err(BoxError::from).boxed_unsync()))
        }
    }));
    let sessions: SessionManager = setup.builder().transport(transport).build().unwrap();
    let call = |key: &str| setup.service(&sessions).oneshot(request(key));
    call(&refused).await.unwrap();
    pass(1.0).await;
    call(&setup.key).await.unwrap();
    refuse_health(&setup, What::NoUptime);
    pass(70.0).await;
    call(&setup.key).await.unwrap();
    assert_eq!((setup.gets(), setup.creates()), (1, 2));
}
