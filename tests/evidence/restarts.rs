use std::time::Duration;

use sipher_session::{
    Chain, Doubt, Event, Proof, SessionDefaults, SessionLayer,
    testing::{FakeBody, FakeSipher, Fault, SessionUse, Solana, Target, Tier, What},
};
use tower::{Layer, ServiceExt};

use crate::support::{Setup, generate, pass};

/// Sends one request through a layer that proves. Returns the chain that the request got, and the doubt.
async fn prove(setup: &Setup, layer: &SessionLayer) -> (Option<String>, Option<Doubt>) {
    let service = layer.layer(setup.sipher.clone());
    let response: http::Response<FakeBody> = service.oneshot(generate()).await.unwrap();
    let proof = response.extensions().get::<Proof>().copied();
    let Some(Proof::Session { doubt, .. }) = proof else {
        panic!("{proof:?}");
    };
    (setup.last_chain(), doubt)
}

/// Returns how many requests were answered under the server's own defaults.
fn wrong(sipher: &FakeSipher) -> usize {
    let is_wrong = |session: &SessionUse| !matches!(session, SessionUse::Live { .. });
    let log = sipher.log().into_iter();
    log.filter(|it| it.path.starts_with("/v1/stealth") && is_wrong(&it.session))
        .count()
}

/// The test covers many gaps between the restart and the calls around it, and many positions in a window.
#[tokio::test(start_paused = true)]
async fn of_ten_restarts_that_no_call_met_each_costs_one_request_at_most_which_is_doubted_and_counted()
 {
    let setup = Setup::new();
    let sessions = setup.manager();
    let mut events = sessions.events();
    let layer = SessionLayer::new(sessions.clone()).with_proof();
    let mut counted = 0;
    for restart in 0..10 {
        for _ in 0..13 + restart {
            prove(&setup, &layer).await;
            pass(1.0).await;
        }
        setup.sipher.restart();
        pass(0.5).await;
        let before = wrong(&setup.sipher);
        for _ in 0..5 {
            let (chain, doubt) = prove(&setup, &layer).await;
            assert!(
                chain.as_deref() == Some("near") || doubt.is_some(),
                "restart {restart}"
            );
            pass(1.0).await;
        }
        assert!(wrong(&setup.sipher) - before <= 1, "restart {restart}");
        while let Some(event) = events.try_recv() {
            if let Event::Lost { requests, .. } = event {
                assert!(requests <= 2, "{requests}");
                counted += requests;
            }
        }
    }
    assert!(counted >= wrong(&setup.sipher) as u64, "{counted}");
    assert_eq!(
        setup.sipher.session_calls(),
        11,
        "one create for each, and nothing else"
    );
}

#[tokio::test(start_paused = true)]
async fn a_restart_during_a_pause_of_a_minute_costs_no_request() {
    let setup = Setup::new();
    let sessions = setup.manager();
    for pause in [61.0, 90.0, 500.0] {
        setup.call(&sessions).await.unwrap();
        setup.sipher.restart();
        pass(pause).await;
        setup.call(&sessions).await.unwrap();
        assert_eq!(wrong(&setup.sipher), 0, "{pause}");
    }
    assert_eq!(setup.creates(), 4);
}

/// A day with one call a second, one restart an hour, and Solana away half of the time.
#[tokio::test(start_paused = true)]
async fn a_day_of_restarts_with_solana_away_costs_two_session_calls_for_each_and_the_renewals() {
    let setup = Setup::new();
    setup.sipher.set_rate_limit(None);
    let sessions = setup.manager();
    let hours = 6;
    for hour in 0..hours {
        for minute in 0..60 {
            setup.sipher.set_solana(if minute % 2 == 0 {
                Solana::Up
            } else {
                Solana::Away
            });
            for _ in 0..60 {
                setup.call(&sessions).await.unwrap();
                pass(1.0).await;
            }
        }
        assert!(wrong(&setup.sipher) <= hour, "hour {hour}");
        setup.sipher.restart();
    }
    // A session lives for an hour, and is replaced after 45 to 48 minutes.
    let renewals = 2 * hours;
    let restarts = hours;
    let calls = setup.sipher.session_calls();
    assert!(calls <= 2 * restarts + 2 * renewals, "{calls}");
    let health = sessions.stats().health_calls;
    assert!(health <= 62 * 6, "about one a minute: {health}");
}

/// The client sees only answers of a gateway, which say nothing about the server. The question is asked all the same.
#[tokio::test(start_paused = true)]
async fn a_restart_that_a_gateway_answers_for_costs_no_request_whatever_its_status() {
    for status in [
        500, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530,
    ] {
        let setup = Setup::new();
        let sessions = setup.manager();
        setup.call(&sessions).await.unwrap();
        pass(2.0).await;
        setup.sipher.fault(Fault::new(What::Html(status)).times(1));
        setup.call(&sessions).await.unwrap();
        setup.sipher.restart();
        pass(0.1).await;
        setup.call(&sessions).await.unwrap();
        assert_eq!(wrong(&setup.sipher), 0, "{status}");
        assert_eq!(setup.sipher.session_calls(), 2, "{status}");
    }
}

/// After a restart, a request with a session of the old process reaches the new process, which answers late. Meanwhile
/// the new process becomes known by its rate-limit window. The late answer must not prove that session.
#[tokio::test(start_paused = true)]
async fn a_late_answer_of_the_new_process_is_no_proof_for_a_session_of_the_old_one() {
    let setup = Setup::new();
    let sessions = setup.manager();
    let mut events = sessions.events();
    let other = SessionDefaults::new().chain(Chain::Base);
    let other = SessionLayer::new(sessions.clone()).defaults(other);
    let other = other.with_proof();
    let layer = SessionLayer::new(sessions.clone()).with_proof();
    for layer in [&other, &layer] {
        prove(&setup, layer).await;
    }
    pass(5.0).await;
    setup.sipher.restart();
    pass(2.0).await;
    let slow = Fault::new(What::DelayAnswer(Duration::from_secs(3)));
    setup.sipher.fault(slow.on(Target::Calls));
    let (slow, ()) = tokio::join!(prove(&setup, &other), async {
        for _ in 0..2 {
            pass(0.5).await;
            prove(&setup, &layer).await;
        }
        // The next question makes the new window known.
        setup
            .sipher
            .fault(Fault::new(What::Refuse).on(Target::Calls));
        setup.call(&sessions).await.unwrap_err();
        pass(0.5).await;
        prove(&setup, &layer).await;
    });
    assert!(slow.1.is_some(), "{slow:?}");
    assert_eq!(prove(&setup, &other).await.0.as_deref(), Some("base"));
    let lost = std::iter::from_fn(|| events.try_recv()).filter_map(|event| match event {
        Event::Lost { requests, .. } => Some(requests),
        _ => None,
    });
    let lost: Vec<_> = lost.collect();
    assert!(lost.len() == 2 && !lost.contains(&0), "{lost:?}");
}

/// The evicted session is in no cache, and the next request for it brings it back.
#[tokio::test(start_paused = true)]
async fn a_session_that_made_room_while_it_was_in_use_is_not_proven_by_the_first_one_after_a_restart()
 {
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(1).build().unwrap();
    let [other, third] = [(); 2].map(|()| setup.sipher.api_key(Tier::Pro));
    let layer = SessionLayer::new(manager.clone()).with_proof();
    let service = layer.layer(setup.sipher.clone());
    let call = async |key: &str| {
        let mut request = generate();
        let key = key.parse().unwrap();
        request.headers_mut().insert("x-api-key", key);
        let answer = service.clone().oneshot(request).await.unwrap();
        let Some(Proof::Session { session, doubt, .. }) = answer.extensions().get() else {
            panic!("no proof");
        };
        (session.generation, *doubt)
    };
    // The server's health has shown when its process started.
    call(&setup.key).await;
    pass(70.0).await;
    call(&setup.key).await;
    pass(50.0).await;
    call(&setup.key).await;
    let (others, _) = call(&other).await;
    assert!(manager.invalidate(others));
    // The session is deleted on the server.
    pass(1.0).await;
    setup.sipher.restart();
    // The window of the old process has ended.
    pass(11.0).await;
    let (thirds, _) = call(&third).await;
    assert!(manager.invalidate(thirds));
    let (_, doubt) = call(&setup.key).await;
    assert!(doubt.is_some() || setup.last_chain().as_deref() == Some("near"));
}
