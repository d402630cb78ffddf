#![no_main]

use std::time::Duration;

use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use sipher_session::{
    BoxError, SessionId, SessionManager,
    api::{Bytes, Transport},
    testing::TestClock,
};
use tower::service_fn;

// The input up to a NUL is the answer to a create. The rest is the answer to all other calls.
fuzz_target!(|body: &[u8]| {
    let body = Bytes::copy_from_slice(body);
    let end = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
    let (create, others) = (body.slice(..end), body.slice(end..));
    let transport = Transport::new(service_fn(move |call: Request<Full<Bytes>>| {
        let is_create = call.method() == http::Method::POST;
        let (status, body) = if is_create { (201, &create) } else { (200, &others) };
        let response = Response::builder().status(status);
        let response = response.body(Full::new(body.clone()).boxed());
        async move { Ok::<_, BoxError>(response?) }
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let manager = SessionManager::builder()
            .api_key("sk_pro_1")
            .transport(transport)
            .clock(TestClock::new())
            .verify_every(Duration::from_secs(1))
            .build()
            .expect("well-formed");
        for _ in 0..3 {
            let mut headers = HeaderMap::new();
            drop(manager.apply(&mut headers).await);
            if let Some(id) = headers.get("x-session-id") {
                let id = id.to_str().expect("visible ASCII");
                assert!(SessionId::parse(id).is_some());
            }
            tokio::time::sleep(Duration::from_secs(90)).await;
        }
        manager.shutdown(Duration::from_secs(5)).await;
    });
});
