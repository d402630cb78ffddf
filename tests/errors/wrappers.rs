//! Errors are found below `reqwest-middleware`, `reqwest-retry`, tracing middleware, `anyhow` and
//! `#[error(transparent)]`.

use std::{
    error::Error as StdError,
    fmt,
    sync::{Arc, Mutex},
};

use anyhow::Context as _;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
use sipher_session::{BoxError, Error, SessionLayer};

use crate::{assert_is_quota, without_quota};

/// Retries above the layer, as the README advises.
fn retrying() -> ClientBuilder {
    let policy = ExponentialBackoff::builder().build_with_max_retries(2);
    ClientBuilder::new(reqwest::Client::new())
        .with(RetryTransientMiddleware::new_with_policy(policy))
}

async fn fails(http: ClientWithMiddleware) -> reqwest_middleware::Error {
    let url = "https://sipher-api.sip-protocol.org/v1/stealth/generate";
    let request = http.post(url).header("content-type", "application/json");
    request.body("{}").send().await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn it_is_found_through_reqwest_middleware() {
    let layer = SessionLayer::new(without_quota().manager());
    let http = ClientBuilder::new(reqwest::Client::new()).with(layer);
    let error = fails(http.build()).await;
    assert_is_quota(Error::find(&error));
    let reqwest_middleware::Error::Middleware(error) = error else {
        panic!("{error:?}")
    };
    assert_is_quota(error.downcast_ref());
}

#[tokio::test(start_paused = true)]
async fn it_is_found_through_retries_and_by_whoever_walks_the_chain() {
    let http = retrying().with(SessionLayer::new(without_quota().manager()));
    let error = fails(http.build()).await;
    assert_is_quota(Error::find(&error));
    let error = anyhow::Error::from(error);
    assert_is_quota(Error::find(&error));
    let by_hand = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Error>());
    assert_eq!(by_hand.unwrap().kind(), sipher_session::ErrorKind::Quota);
}

/// Notes the error with its causes and hands it on, as `reqwest_tracing::TracingMiddleware` does.
struct Traces(Arc<Mutex<Vec<String>>>);

#[async_trait::async_trait]
impl Middleware for Traces {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let outcome = next.run(request, extensions).await;
        if let Err(error) = &outcome {
            let mut noted = self.0.lock().unwrap();
            noted.push(error.to_string());
            noted.push(format!("{error:?}"));
        }
        outcome
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_found_through_tracing_on_either_side_of_retries() {
    let setup = without_quota();
    let noted = Arc::new(Mutex::new(Vec::new()));
    for outside in [true, false] {
        let (traces, layer) = (Traces(noted.clone()), SessionLayer::new(setup.manager()));
        let http = if outside {
            ClientBuilder::new(reqwest::Client::new())
                .with(traces)
                .with(layer)
        } else {
            retrying().with(traces).with(layer)
        };
        assert_is_quota(Error::find(&fails(http.build()).await));
    }
    let noted = noted.lock().unwrap().concat();
    assert!(noted.contains("DAILY_QUOTA_EXCEEDED"), "{noted}");
    assert!(!noted.contains(&setup.key), "{noted}");
}

#[derive(Debug)]
enum App {
    Session(Error),
    Client(reqwest_middleware::Error),
}

impl fmt::Display for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session(error) => error.fmt(f),
            Self::Client(error) => error.fmt(f),
        }
    }
}

/// The code that `thiserror` generates for `#[error(transparent)]`.
impl StdError for App {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Session(error) => error.source(),
            Self::Client(error) => error.source(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_found_through_a_users_own_transparent_errors_and_anyhow() {
    let manager = without_quota().manager();
    let error = manager.session().await.unwrap_err();
    assert_is_quota(Error::find(&App::Session(error.clone())));
    let boxed: BoxError = App::Session(error.clone()).into();
    assert_is_quota(Error::find(&boxed));
    let error = anyhow::Error::from(App::Session(error)).context("no address");
    assert_is_quota(Error::find(&error));

    let http = retrying().with(SessionLayer::new(manager));
    let error = fails(http.build()).await;
    let outcome: Result<(), _> = Err(App::Client(error));
    let error = outcome.context("no address").unwrap_err();
    assert_is_quota(Error::find(&error));
    let report = format!("{error:#}");
    assert_eq!(
        report.matches("DAILY_QUOTA_EXCEEDED").count(),
        1,
        "{report}"
    );
}
