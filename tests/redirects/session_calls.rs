//! The client for the session calls.

use reqwest::redirect::Policy;
use sipher_session::{
    ErrorKind, SessionManager,
    testing::{Fault, Target, What},
};
use tower::ServiceBuilder;

use crate::{Elsewhere, Here, client};

/// Redirects the next create to a `GET`, because a request with a body is not sent twice.
fn redirected_create(here: &Here, url: &str) {
    let see_other = What::Answer {
        status: 303,
        headers: vec![("location".to_owned(), url.to_owned())],
        body: String::new(),
    };
    let fault = Fault::new(see_other);
    here.sipher.fault(fault.on(Target::Create));
}

#[tokio::test]
async fn the_built_in_client_follows_none() {
    let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
    redirected_create(&here, &elsewhere.url("/v1/sessions"));
    let error = here.sessions.session().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongAddress);
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn an_answer_from_elsewhere_is_no_session() {
    let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
    let sessions = SessionManager::builder()
        .api_key(here.key.as_str())
        .base_url(here.served.base_url())
        .http_client(client(Policy::default()))
        .build()
        .unwrap();
    redirected_create(&here, &elsewhere.url("/v1/sessions?key=hunter2"));
    let error = sessions.session().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongAddress);
    let expected = format!(
        "the client for session calls followed a redirect to {}, with the API key; expected one that follows none (",
        elsewhere.base_url
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert_eq!(elsewhere.seen().len(), 1);
}

/// A correct answer of another Sipher does not count, because it is not the server that was asked.
#[tokio::test]
async fn an_answer_from_another_path_is_no_session_either() {
    let here = Here::start().await;
    let sessions = SessionManager::builder()
        .api_key(here.key.as_str())
        .base_url(here.served.base_url())
        .http_client(client(here.sessions.redirect_policy()))
        .build()
        .unwrap();
    redirected_create(&here, "/v1/health");
    let error = sessions.session().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongAddress);
    let message = error.to_string();
    assert!(
        message.starts_with("the client for session calls"),
        "{message}"
    );
    assert_eq!(here.calls(), [("/v1/health".to_owned(), false)]);
}

macro_rules! in_each_version {
    ($($name:ident: $tower_http:ident,)+) => {$(
#[tokio::test]
async fn $name() {
    let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
    let follow = ServiceBuilder::new()
        .layer($tower_http::follow_redirect::FollowRedirectLayer::new())
        .service(crate::order::hyper());
    let sessions = SessionManager::builder()
        .api_key(here.key.as_str())
        .base_url(here.served.base_url())
        .transport(sipher_session::api::Transport::new(follow))
        .build()
        .unwrap();
    sessions.session().await.unwrap();
    sessions.invalidate(1);
    redirected_create(&here, &elsewhere.url("/v1/sessions"));
    let error = sessions.session().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongAddress);
    assert!(error.to_string().contains(&elsewhere.base_url), "{error}");
}
    )+};
}

in_each_version! {
    a_tower_stack_that_follows_redirects_is_found_out: tower_http,
    a_tower_stack_that_follows_redirects_is_found_out_with_0_7: tower_http_07,
}
