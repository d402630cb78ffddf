//! tower-http's `FollowRedirect`, above and below the layer, in both versions that are in use.

use http::{Request, Response};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use sipher_session::{SessionLayer, api::Bytes};
use tower::{ServiceBuilder, ServiceExt};

use crate::{Elsewhere, Here, leaks};

type Body = Full<Bytes>;

pub(crate) fn hyper() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

fn get(url: String) -> Request<Body> {
    Request::get(url).body(Body::default()).unwrap()
}

macro_rules! in_each_version {
    ($($version:ident: $tower_http:ident,)+) => {$(mod $version {
        use $tower_http::follow_redirect::{FollowRedirectLayer, RequestUri};

        use super::*;

        fn came_from<B>(response: &Response<B>) -> String {
            let uri = response.extensions().get::<RequestUri>().unwrap();
            uri.0.to_string()
        }

        #[tokio::test]
        async fn inside_of_follow_redirect_every_hop_is_looked_at_anew() {
            let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
            let mut events = here.sessions.events();
            let http = ServiceBuilder::new()
                .layer(FollowRedirectLayer::new())
                .layer(SessionLayer::new(here.sessions.clone()))
                .service(hyper());
            // The chain goes from Sipher to Sipher, to another server, and back.
            here.redirects_to("/v1/chains");
            here.redirects_to(&elsewhere.url("/"));
            elsewhere.redirects_to(here.url("/v1/tokens"));
            let response = http.oneshot(get(here.url("/v1/backends"))).await.unwrap();
            assert_eq!(came_from(&response), here.url("/v1/tokens"));
            let with_session = |path: &str| (path.to_owned(), true);
            let calls = ["/v1/backends", "/v1/chains", "/v1/tokens"].map(with_session);
            assert_eq!(here.calls(), calls);
            let seen = elsewhere.seen();
            assert_eq!(seen.len(), 1);
            assert!(!seen[0].contains_key("x-session-id"));
            assert!(!seen[0].contains_key("x-api-key"));
            assert!(leaks(&mut events).is_empty());
            assert_eq!(here.sessions.session().await.unwrap().generation(), 1);
        }

        #[tokio::test]
        async fn outside_of_follow_redirect_the_id_leaks_and_the_guard_tells() {
            let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
            let mut events = here.sessions.events();
            let http = ServiceBuilder::new()
                .layer(SessionLayer::new(here.sessions.clone()))
                .layer(FollowRedirectLayer::new())
                .service(hyper());
            here.redirects_to(&elsewhere.url("/"));
            let request = get(here.url("/v1/backends"));
            http.clone().oneshot(request).await.unwrap();
            // This is the leak.
            let seen = elsewhere.seen();
            let id = seen[0]["x-session-id"].to_str().unwrap();
            assert_eq!(seen[0]["x-api-key"], *here.key);
            // The manager reports the leak and replaces the session.
            assert_eq!(leaks(&mut events), [(Some(1), elsewhere.base_url.clone())]);
            let next = here.sessions.session().await.unwrap();
            assert_eq!(next.generation(), 2);
            assert_ne!(next.id().as_str(), id);

            // A redirect within Sipher does no harm in this order.
            here.redirects_to("/v1/chains");
            let response = http.oneshot(get(here.url("/v1/backends"))).await.unwrap();
            assert_eq!(came_from(&response), here.url("/v1/chains"));
            assert!(leaks(&mut events).is_empty());
        }

        /// A service between the layer and `FollowRedirect` adds the address. The last URI is compared with the base URL as usual.
        #[tokio::test]
        async fn a_request_that_got_its_address_further_down_is_watched_too() {
            let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
            let mut events = here.sessions.events();
            let address = here.served.base_url();
            let http = ServiceBuilder::new()
                .layer(SessionLayer::new(here.sessions.clone()).inner_is_sipher())
                .map_request(move |mut request: Request<Body>| {
                    let url = format!("{address}{}", request.uri());
                    *request.uri_mut() = url.parse().unwrap();
                    request
                })
                .layer(FollowRedirectLayer::new())
                .service(hyper());
            let request = || get("/v1/backends".to_owned());
            http.clone().oneshot(request()).await.unwrap();
            assert_eq!(here.calls(), [("/v1/backends".to_owned(), true)]);
            assert!(leaks(&mut events).is_empty());
            here.redirects_to(&elsewhere.url("/"));
            http.oneshot(request()).await.unwrap();
            assert_eq!(leaks(&mut events), [(Some(1), elsewhere.base_url.clone())]);
        }
    })+};
}

in_each_version! {
    v0_6: tower_http,
    v0_7: tower_http_07,
}

/// It does not matter which of the two services left Sipher, and which one reports last.
#[tokio::test]
async fn of_two_that_follow_redirects_below_the_layer_either_is_noticed() {
    for outer_is_newer in [false, true] {
        let (here, elsewhere) = (Here::start().await, Elsewhere::start().await);
        let mut events = here.sessions.events();
        let (old, new) = (
            tower_http::follow_redirect::FollowRedirectLayer::new(),
            tower_http_07::follow_redirect::FollowRedirectLayer::new(),
        );
        here.redirects_to(&elsewhere.url("/"));
        let request = get(here.url("/v1/backends"));
        let session = ServiceBuilder::new().layer(SessionLayer::new(here.sessions.clone()));
        let answer = if outer_is_newer {
            let http = session.layer(new).layer(old).service(hyper());
            http.oneshot(request).await.map(drop)
        } else {
            let http = session.layer(old).layer(new).service(hyper());
            http.oneshot(request).await.map(drop)
        };
        answer.unwrap();
        assert_eq!(leaks(&mut events), [(Some(1), elsewhere.base_url.clone())]);
    }
}
