//! Over `reqwest`, on real sockets: as a middleware, and as a tower service.

use http::Version;
use reqwest::{Body, Client, Request, Response};
use reqwest_middleware::ClientWithMiddleware;
use sipher_session::{
    Chain, CheckedLayer, Error, ErrorKind, Proof, SessionDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, Fault, Served, Target, Tier, What},
};
use tower::{Layer, ServiceExt};

struct Here {
    sipher: FakeSipher,
    served: Served,
    sessions: SessionManager,
}

impl Here {
    async fn start() -> Self {
        let sipher = FakeSipher::new();
        let served = sipher.serve().await.unwrap();
        let sessions = SessionManager::builder()
            .api_key(sipher.api_key(Tier::Pro))
            .defaults(SessionDefaults::new().chain(Chain::Near))
            .base_url(served.base_url())
            .build()
            .unwrap();
        Self {
            sipher,
            served,
            sessions,
        }
    }

    fn generate(&self, body: impl Into<Body>) -> Request {
        let url = self.served.base_url() + "/v1/stealth/generate";
        let request = Client::new().post(url).body(body);
        let request = request.header("content-type", "application/json");
        request.build().unwrap()
    }
}

fn http(layer: CheckedLayer) -> ClientWithMiddleware {
    reqwest_middleware::ClientBuilder::new(Client::new())
        .with(layer)
        .build()
}

fn is_confirmed(response: &Response) -> bool {
    matches!(response.extensions().get(), Some(Proof::Confirmed { .. }))
}

#[tokio::test]
async fn a_middleware_confirms_and_withholds() {
    let here = Here::start().await;
    let layer = SessionLayer::new(here.sessions.clone())
        .with_proof()
        .checked();
    let http = http(layer);
    let answer = http.execute(here.generate("{}")).await.unwrap();
    assert!(is_confirmed(&answer));
    here.sipher.restart();
    let error = http.execute(here.generate("{}")).await.unwrap_err();
    let error = Error::find(&error).unwrap();
    assert_eq!(error.kind(), ErrorKind::WrongDefaults);
    let answer = http.execute(here.generate("{}")).await.unwrap();
    assert!(is_confirmed(&answer));
    assert_eq!(here.sessions.stats().wrong_defaults, 1);
}

#[tokio::test]
async fn a_tower_service_confirms_and_withholds() {
    let here = Here::start().await;
    let layer = SessionLayer::new(here.sessions.clone()).checked();
    let service = layer.layer(Client::new());
    let answer = service.clone().oneshot(here.generate("{}")).await.unwrap();
    assert!(is_confirmed(&answer));
    here.sipher.restart();
    let error = service.clone().oneshot(here.generate("{}")).await;
    let error = error.unwrap_err();
    let error = Error::find(&*error).unwrap();
    assert_eq!(error.kind(), ErrorKind::WrongDefaults);
    let answer = service.oneshot(here.generate("{}")).await.unwrap();
    assert!(is_confirmed(&answer));
}

#[tokio::test]
async fn below_a_replay_the_session_of_the_layer_above_is_checked() {
    let here = Here::start().await;
    let sui = SessionDefaults::new().chain(Chain::Sui);
    let above = SessionLayer::new(here.sessions.clone()).defaults(sui);
    let http = reqwest_middleware::ClientBuilder::new(Client::new())
        .with(above.replay_once())
        .with(CheckedLayer::new(here.sessions.clone()))
        .build();
    let answer = http.execute(here.generate("{}")).await.unwrap();
    assert!(is_confirmed(&answer));
    here.sipher.restart();
    let error = http.execute(here.generate("{}")).await.unwrap_err();
    let error = Error::find(&error).unwrap();
    assert_eq!(error.kind(), ErrorKind::WrongDefaults);
    assert_eq!(here.sessions.stats().replayed, 0);
}

#[tokio::test]
async fn one_layer_replays_and_checks_as_a_middleware_and_as_a_service() {
    let sui = || SessionDefaults::new().chain(Chain::Sui);
    for through_middleware in [true, false] {
        let here = Here::start().await;
        let layer = SessionLayer::new(here.sessions.clone()).replay_once();
        let layer = layer.checked().defaults(sui());
        let one = Layer::layer(&layer, Client::new());
        let other = reqwest_middleware::ClientBuilder::new(Client::new());
        let other = other.with(layer).build();
        let send = async || {
            let request = here.generate("{}");
            if through_middleware {
                let answer = other.execute(request).await;
                answer.map_err(|error| Error::find(&error).unwrap().kind())
            } else {
                let answer = one.clone().oneshot(request).await;
                answer.map_err(|error| Error::find(&error).unwrap().kind())
            }
        };
        let fault = Fault::new(What::Status(503)).on(Target::Calls);
        here.sipher.fault(fault);
        let answer = send().await.unwrap();
        assert!(is_confirmed(&answer), "{answer:?}");
        assert!(answer.text().await.unwrap().contains("sui"));
        assert_eq!(here.sessions.stats().replayed, 1);
        here.sipher.restart();
        assert_eq!(send().await.unwrap_err(), ErrorKind::WrongDefaults);
        assert_eq!(here.sessions.stats().replayed, 1);
    }
}

#[tokio::test]
async fn a_response_that_was_read_is_put_together_again_without_loss() {
    let here = Here::start().await;
    let checked = http(CheckedLayer::new(here.sessions.clone()));
    let plain = reqwest_middleware::ClientBuilder::new(Client::new())
        .with(SessionLayer::new(here.sessions.clone()))
        .build();
    let expected = plain.execute(here.generate("{}")).await.unwrap();
    let answer = checked.execute(here.generate("{}")).await.unwrap();
    assert!(is_confirmed(&answer));
    assert_eq!(answer.url(), expected.url());
    assert_eq!(answer.version(), Version::HTTP_11);
    assert_eq!(answer.status(), expected.status());
    assert_eq!(answer.remote_addr(), expected.remote_addr());
    assert!(answer.remote_addr().is_some());
    assert_eq!(answer.content_length(), expected.content_length());
    let names = |response: &Response| response.headers().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&answer), names(&expected));
    assert_eq!(
        answer.bytes().await.unwrap(),
        expected.bytes().await.unwrap()
    );
}

#[tokio::test]
async fn a_response_that_breaks_off_fails_as_it_does_without_a_check() {
    let here = Here::start().await;
    here.sessions.session().await.unwrap();
    let half = Fault::new(What::HalfBody).on(Target::Others);
    here.sipher.fault(half);
    let http = http(CheckedLayer::new(here.sessions.clone()));
    let mut answer = http.execute(here.generate("{}")).await.unwrap();
    assert!(!is_confirmed(&answer));
    assert_eq!(answer.url().path(), "/v1/stealth/generate");
    assert!(answer.chunk().await.unwrap().is_some());
    let error = answer.chunk().await.unwrap_err();
    assert!(error.is_decode() || error.is_body(), "{error:?}");
}

#[tokio::test]
async fn a_request_whose_body_is_a_stream_is_sent_and_not_checked() {
    let here = Here::start().await;
    let http = http(CheckedLayer::new(here.sessions.clone()));
    let body = Body::wrap(http_body_util::Full::new(sipher_session::api::Bytes::from(
        "{}",
    )));
    assert!(body.as_bytes().is_none());
    let answer = http.execute(here.generate(body)).await.unwrap();
    assert!(matches!(
        answer.extensions().get(),
        Some(Proof::Session { doubt: None, .. })
    ));
    let body = answer.text().await.unwrap();
    assert!(body.contains("near"), "{body}");
}

#[tokio::test]
async fn a_request_with_an_empty_body_leaves_the_chain_open() {
    let here = Here::start().await;
    let http = http(CheckedLayer::new(here.sessions.clone()));
    let mut request = here.generate("");
    *request.body_mut() = None;
    // Without this header, the server sees no body at all and answers 400.
    let none = http::HeaderValue::from_static("0");
    request.headers_mut().insert("content-length", none);
    let answer = http.execute(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(is_confirmed(&answer));
}
