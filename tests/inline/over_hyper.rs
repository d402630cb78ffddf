//! Over hyper-util's client, on real sockets.

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use sipher_session::{
    BoxError, Chain, InlineDefaults, SessionDefaults, SessionManager,
    inline::InlineBody,
    testing::{FakeSipher, Tier},
};
use tower::ServiceExt;

use super::stack;

/// Returns the chain that the server used for a body of this kind.
async fn chain<B>(manager: &SessionManager, url: &str, body: B) -> String
where
    B: Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + Unpin + 'static,
{
    let client = Client::builder(TokioExecutor::new()).build_http::<InlineBody<B>>();
    let request = http::Request::post(format!("{url}/v1/stealth/generate"))
        .header("content-type", "application/json")
        .body(body)
        .unwrap();
    let answer = stack(manager, client).oneshot(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    body["data"]["chain"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn bodies_with_and_without_a_length_arrive_merged_whatever_the_server_forgets() {
    let sipher = FakeSipher::new();
    let served = sipher.serve().await.unwrap();
    let manager = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .base_url(served.base_url())
        .inline_defaults(InlineDefaults::Always)
        .build()
        .unwrap();
    let url = served.base_url();
    for _ in 0..5 {
        let whole = Full::<Bytes>::from(r#"{"count":1}"#);
        assert_eq!(chain(&manager, &url, whole).await, "near");
        let chunks =
            ["{\"count\"", ":1}"].map(|chunk| Ok::<_, BoxError>(Frame::data(Bytes::from(chunk))));
        let chunks = StreamBody::new(futures_util::stream::iter(chunks));
        assert_eq!(chain(&manager, &url, chunks).await, "near");
        sipher.restart();
    }
}
