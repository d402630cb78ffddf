//! What the layer notices if a client follows redirects without the policy.

use http::Response;
use reqwest::redirect::Policy;
use sipher_session::{
    Doubt, Event, NoSession, Proof, RetireReason, SessionLayer,
    testing::{Operation, Tier},
};
use tower::{Layer, ServiceExt, service_fn};

use crate::{Elsewhere, Here, client, leaks};

#[tokio::test]
async fn an_answer_from_elsewhere_ends_its_session_and_is_told_once() {
    let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
    let mut events = here.sessions.events();
    let http = here.http(Policy::default());
    here.redirects_to(&elsewhere.url("/secret?of=theirs"));
    http.get(here.url("/v1/backends")).send().await.unwrap();

    // The policy exists to prevent this leak.
    let seen = elsewhere.seen();
    let leaked = seen[0]["x-session-id"].to_str().unwrap();
    assert_eq!(seen[0]["x-api-key"], *here.key);

    let mut told = Vec::new();
    while let Some(event) = events.try_recv() {
        match event {
            Event::Leaked { session, to, .. } => {
                assert_eq!(session.unwrap().generation, 1);
                // The event does not contain the full URL, because the other server chooses its text.
                assert_eq!(to, elsewhere.base_url);
                told.push("leaked");
            }
            Event::Retired { reason, .. } => {
                assert_eq!(reason, RetireReason::Leaked);
                told.push("retired");
            }
            _ => {}
        }
    }
    assert_eq!(told, ["retired", "leaked"]);

    http.get(here.url("/v1/chains")).send().await.unwrap();
    let next = here.sessions.session().await.unwrap();
    assert_eq!(next.generation(), 2);
    here.sessions
        .shutdown(std::time::Duration::from_secs(5))
        .await;
    assert!(!here.sipher.is_live(leaked));
    assert_eq!(here.sipher.count(Operation::Delete), 2);
}

#[tokio::test]
async fn an_answer_from_elsewhere_proves_nothing() {
    let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
    let http = reqwest_middleware::ClientBuilder::new(client(Policy::default()))
        .with(SessionLayer::new(here.sessions.clone()).with_proof())
        .build();
    here.redirects_to(&elsewhere.url("/"));
    let doubt = |answer: reqwest::Response| match answer.extensions().get() {
        Some(Proof::Session { doubt, .. }) => *doubt,
        other => panic!("{other:?}"),
    };
    let answer = http.get(here.url("/v1/backends")).send().await.unwrap();
    assert_eq!(doubt(answer), Some(Doubt::Leaked));
    let answer = http.get(here.url("/v1/backends")).send().await.unwrap();
    assert_eq!(doubt(answer), None);
}

/// Several requests with this session were in flight.
#[tokio::test]
async fn many_answers_from_elsewhere_are_told_once_for_their_session() {
    let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
    here.sessions.session().await.unwrap();
    let mut events = here.sessions.events();
    let http = here.http(Policy::default());
    let mut calls = tokio::task::JoinSet::new();
    // All requests are sent before the first one gets its answer.
    let gate = std::sync::Arc::new(tokio::sync::Barrier::new(8));
    for _ in 0..8 {
        here.redirects_to(&elsewhere.url("/"));
    }
    let service = SessionLayer::new(here.sessions.clone()).layer(service_fn({
        let client = client(Policy::default());
        move |request| {
            let (client, gate) = (client.clone(), gate.clone());
            async move {
                gate.wait().await;
                client.execute(request).await
            }
        }
    }));
    for _ in 0..8 {
        let request = http.get(here.url("/v1/backends")).build().unwrap();
        calls.spawn(service.clone().oneshot(request));
    }
    for answer in calls.join_all().await {
        answer.unwrap();
    }
    assert_eq!(elsewhere.seen().len(), 8);
    assert_eq!(leaks(&mut events), [(Some(1), elsewhere.base_url.clone())]);
}

#[tokio::test]
async fn the_tower_service_over_a_client_notices_as_well() {
    let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
    let mut events = here.sessions.events();
    let client = client(Policy::default());
    let service = SessionLayer::new(here.sessions.clone()).layer(client.clone());
    for generation in [1, 2] {
        here.redirects_to(&elsewhere.url("/"));
        let request = client.get(here.url("/v1/backends")).build().unwrap();
        service.clone().oneshot(request).await.unwrap();
        let told = leaks(&mut events);
        assert_eq!(told, [(Some(generation), elsewhere.base_url.clone())]);
    }
}

#[tokio::test]
async fn a_chain_that_is_given_up_elsewhere_is_noticed_without_an_answer() {
    let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
    let mut events = here.sessions.events();
    elsewhere.redirects_to(elsewhere.url("/again"));
    here.redirects_to(&elsewhere.url("/"));
    let http = here.http(Policy::default());
    let failed = http.get(here.url("/v1/backends")).send().await;
    assert!(failed.is_err());
    assert_eq!(leaks(&mut events), [(Some(1), elsewhere.base_url.clone())]);
}

#[tokio::test]
async fn what_a_lease_failed_with_may_tell_that_its_id_went_elsewhere() {
    let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
    let mut events = here.sessions.events();
    elsewhere.redirects_to(elsewhere.url("/again"));
    here.redirects_to(&elsewhere.url("/"));
    let client = client(Policy::default());
    let mut request = client.get(here.url("/v1/backends")).build().unwrap();
    let lease = here.sessions.apply(request.headers_mut()).await.unwrap();
    let failed = client.execute(request).await.unwrap_err();
    lease.unwrap().fail(&failed);
    assert_eq!(leaks(&mut events), [(Some(1), elsewhere.base_url.clone())]);
}

#[tokio::test]
async fn a_key_that_was_put_in_without_a_session_is_told_of_and_one_of_the_callers_is_not() {
    let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
    let mut events = here.sessions.events();
    let http = here.http(Policy::default());
    here.redirects_to(&elsewhere.url("/"));
    let request = http.get(here.url("/v1/backends"));
    request.with_extension(NoSession).send().await.unwrap();
    assert_eq!(leaks(&mut events), [(None, elsewhere.base_url.clone())]);

    here.redirects_to(&elsewhere.url("/"));
    let own = here.sipher.api_key(Tier::Pro);
    let request = http.get(here.url("/v1/backends")).header("x-api-key", own);
    request.with_extension(NoSession).send().await.unwrap();
    assert_eq!(elsewhere.seen().len(), 2);
    assert!(leaks(&mut events).is_empty());
}

/// The policy is necessary: the last URL does not show through which servers a chain went.
#[tokio::test]
async fn a_chain_that_comes_back_is_not_noticed() {
    let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
    let mut events = here.sessions.events();
    here.redirects_to(&elsewhere.url("/"));
    elsewhere.redirects_to(here.url("/v1/chains"));
    let http = here.http(Policy::default());
    http.get(here.url("/v1/backends")).send().await.unwrap();
    assert!(elsewhere.seen()[0].contains_key("x-session-id"));
    assert!(leaks(&mut events).is_empty());
}

#[tokio::test]
async fn a_redirect_within_sipher_is_no_leak_without_the_policy_either() {
    let here = Here::start().await;
    let mut events = here.sessions.events();
    here.redirects_to("/v1/chains");
    let http = here.http(Policy::default());
    http.get(here.url("/v1/backends")).send().await.unwrap();
    assert_eq!(here.calls().len(), 2);
    assert!(leaks(&mut events).is_empty());
}

/// A cache below the layer, or a mock, creates such a response. `reqwest` gives it a URL that it made up.
#[tokio::test]
async fn a_response_made_by_hand_is_no_leak() {
    let here = Here::start().await;
    let mut events = here.sessions.events();
    let by_hand = service_fn(async |_: reqwest::Request| {
        Ok::<_, reqwest::Error>(reqwest::Response::from(Response::new("{}")))
    });
    let service = SessionLayer::new(here.sessions.clone()).layer(by_hand);
    let request = reqwest::Client::new().get(here.url("/v1/backends"));
    service.oneshot(request.build().unwrap()).await.unwrap();
    assert!(leaks(&mut events).is_empty());
}
