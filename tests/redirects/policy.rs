//! The redirect policy for `reqwest`.

use std::time::Duration;

use reqwest::{StatusCode, redirect::Policy};
use sipher_session::{Event, SessionManager};

use crate::{Elsewhere, Here, client, leaks};

#[tokio::test]
async fn within_sipher_redirects_are_followed_with_the_session() {
    let here = Here::start().await;
    let mut events = here.sessions.events();
    let http = here.http(here.sessions.redirect_policy());
    // Absolute and relative URLs.
    for location in [&here.url("/v1/chains"), "/v1/chains", "../v1/chains"] {
        here.sipher.clear_log();
        here.redirects_to(location);
        let answer = http.get(here.url("/v1/backends")).send().await.unwrap();
        assert_eq!(answer.url().path(), "/v1/chains", "{location}");
        let calls = here.calls();
        let with_session = |path: &str| (path.to_owned(), true);
        assert_eq!(
            calls,
            [with_session("/v1/backends"), with_session("/v1/chains")]
        );
    }
    assert!(leaks(&mut events).is_empty());
}

#[tokio::test]
async fn a_redirect_that_leaves_sipher_is_the_response_and_nothing_arrives_there() {
    let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
    let mut events = here.sessions.events();
    // This also holds if the user's own policy would follow the redirect.
    #[allow(clippy::redundant_closure_for_method_calls)] // a path is not general enough
    let follows_all = Policy::custom(|attempt| attempt.follow());
    for policy in [
        here.sessions.redirect_policy(),
        here.sessions.redirect_policy_over(follows_all),
    ] {
        let http = here.http(policy);
        here.redirects_to(&elsewhere.url("/v1/backends"));
        let answer = http.get(here.url("/v1/backends")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(answer.url().as_str(), here.url("/v1/backends"));
        assert_eq!(answer.headers()["location"], *elsewhere.url("/v1/backends"));
    }
    assert!(elsewhere.seen().is_empty());
    assert!(leaks(&mut events).is_empty());
    // The session is unaffected.
    let session = here.sessions.session().await.unwrap();
    assert_eq!(session.generation(), 1);
}

#[tokio::test]
async fn between_the_base_url_and_an_alias_redirects_are_followed_and_nothing_has_leaked() {
    let (here, alias) = (Here::start().await, Elsewhere::start().await);
    let sessions = SessionManager::builder()
        .api_key(here.key.as_str())
        .base_url(here.served.base_url())
        .alias(alias.url("/sipher"));
    let here = Here {
        sessions: sessions.build().unwrap(),
        ..here
    };
    let mut events = here.sessions.events();
    for policy in [here.sessions.redirect_policy(), Policy::default()] {
        let http = here.http(policy);
        here.redirects_to(&alias.url("/sipher/v1/chains"));
        let answer = http.get(here.url("/v1/backends")).send().await.unwrap();
        assert_eq!(answer.url().as_str(), alias.url("/sipher/v1/chains"));
    }
    assert!(
        alias
            .seen()
            .iter()
            .all(|headers| headers.contains_key("x-session-id"))
    );
    assert!(leaks(&mut events).is_empty());

    // A path outside of the alias's path is another service.
    let http = here.http(here.sessions.redirect_policy());
    here.redirects_to(&alias.url("/v1/chains"));
    let answer = http.get(here.url("/v1/backends")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
    here.http(Policy::default())
        .get(here.url("/v1/backends"))
        .send()
        .await
        .unwrap();
    assert!(leaks(&mut events).is_empty());
    here.redirects_to(&alias.url("/v1/chains"));
    let http = here.http(Policy::default());
    http.get(here.url("/v1/backends")).send().await.unwrap();
    assert_eq!(leaks(&mut events), [(Some(1), alias.base_url.clone())]);
}

#[tokio::test]
async fn a_chain_that_has_been_within_sipher_stops_where_it_leaves() {
    let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
    let http = here.http(here.sessions.redirect_policy());
    here.redirects_to("/v1/chains");
    here.redirects_to(&elsewhere.url("/"));
    let answer = http.get(here.url("/v1/backends")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(answer.url().path(), "/v1/chains");
    assert!(elsewhere.seen().is_empty());
}

/// At another scheme, port or spelling of the host, another server may listen.
#[tokio::test]
async fn a_redirect_to_another_spelling_of_sipher_is_not_followed() {
    let here = Here::start().await;
    let http = here.http(here.sessions.redirect_policy());
    let port = here.served.addr().port();
    for location in [
        format!("https://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://127.0.0.2:{port}/"),
        format!("http://127.0.0.1.evil.localhost:{port}/"),
        "http://127.0.0.1/".to_owned(),
    ] {
        here.redirects_to(&location);
        let answer = http.get(here.url("/v1/backends")).send().await.unwrap();
        assert_eq!(
            answer.status(),
            StatusCode::TEMPORARY_REDIRECT,
            "{location}"
        );
    }
}

#[tokio::test]
async fn below_a_prefix_a_redirect_out_of_it_is_not_followed() {
    let elsewhere = Elsewhere::start().await;
    let sessions = SessionManager::builder()
        .base_url(elsewhere.url("/sipher"))
        .build()
        .unwrap();
    let client = client(sessions.redirect_policy());
    elsewhere.redirects_to(elsewhere.url("/sipher/../other"));
    let answer = client
        .get(elsewhere.url("/sipher/v1"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(elsewhere.seen().len(), 1);
}

#[tokio::test]
async fn a_loop_within_sipher_ends() {
    let here = Here::start().await;
    let http = here.http(here.sessions.redirect_policy());
    for _ in 0..20 {
        here.redirects_to("/v1/backends");
    }
    let error = http.get(here.url("/v1/backends")).send().await.unwrap_err();
    let reqwest_middleware::Error::Reqwest(error) = error else {
        panic!("{error}");
    };
    assert!(error.is_redirect(), "{error}");
    assert_eq!(here.calls().len(), 11);
}

#[tokio::test]
async fn what_comes_from_elsewhere_stops_before_sipher_and_bears_nothing_without_the_policy() {
    let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
    here.sessions.session().await.unwrap();
    elsewhere.redirects_to(here.url("/v1/backends"));
    let http = here.http(here.sessions.redirect_policy());
    let answer = http.get(elsewhere.url("/")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
    assert!(here.calls().is_empty());

    let http = here.http(Policy::default());
    http.get(elsewhere.url("/")).send().await.unwrap();
    assert_eq!(here.calls(), [("/v1/backends".to_owned(), false)]);
    for headers in elsewhere.seen() {
        assert!(!headers.contains_key("x-session-id"));
        assert!(!headers.contains_key("x-api-key"));
    }
}

#[tokio::test]
async fn a_chain_that_never_touches_sipher_goes_by_the_users_own_policy() {
    let here = Here::start().await;
    let (first, second) = (Elsewhere::start().await, Elsewhere::start().await);
    first.redirects_to(second.url("/"));
    for (policy, arrives) in [
        (here.sessions.redirect_policy(), true),
        (here.sessions.redirect_policy_over(Policy::none()), false),
        (here.sessions.redirect_policy_over(Policy::limited(1)), true),
    ] {
        let before = second.seen().len();
        here.http(policy).get(first.url("/")).send().await.unwrap();
        assert_eq!(second.seen().len() > before, arrives);
    }
    let refuse = Policy::custom(|attempt| attempt.error("not on my watch"));
    let http = here.http(here.sessions.redirect_policy_over(refuse));
    let error = http.get(first.url("/")).send().await.unwrap_err();
    assert!(format!("{error:?}").contains("not on my watch"));
}

#[tokio::test]
async fn a_policy_keeps_no_manager_alive() {
    let here = Here::start().await;
    let mut events = here.sessions.events();
    let policy = here.sessions.redirect_policy();
    here.sessions.session().await.unwrap();
    drop(here.sessions);
    let all = async { while events.recv().await.is_some_and(|e| !is_end(&e)) {} };
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .unwrap();
    drop(policy);
}

fn is_end(event: &Event) -> bool {
    matches!(
        event,
        Event::Abandoned {
            left_to_expire: 1,
            ..
        }
    )
}
