#![no_main]

use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use sipher_session::{
    BoxError, SessionDefaults, SessionId, SessionsApi,
    api::{Bytes, CreateSession, Transport},
};
use tower::service_fn;

const ID: &str = "sess_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const KEY: &str = "sk_pro_fedcba9876543210";
const HEADERS: [&str; 5] = ["retry-after", "date", "location", "x-request-id", "content-type"];

// The input is the status, then five headers, each on a line, and then the body.
fuzz_target!(|input: (u16, &[u8])| {
    let (status, text) = input;
    let mut lines = text.splitn(HEADERS.len() + 1, |byte| *byte == b'\n');
    let mut response = Response::builder().status(100 + status % 900);
    for name in HEADERS {
        if let Ok(value) = HeaderValue::from_bytes(lines.next().unwrap_or_default()) {
            response = response.header(name, value);
        }
    }
    let body = Bytes::copy_from_slice(lines.next().unwrap_or_default());
    let response = response.body(body).expect("checked above");
    let transport = Transport::new(service_fn(move |_: Request<Full<Bytes>>| {
        let response = response.clone().map(Full::new);
        async move { Ok::<_, BoxError>(response) }
    }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let api = SessionsApi::new(transport, "https://host", KEY).expect("well-formed");
        let id = SessionId::parse(ID).expect("well-formed");
        let defaults = SessionDefaults::new();
        for outcome in [
            api.create_session(&CreateSession::new(defaults.clone())).await.map(drop),
            api.get_session(&id).await.map(drop),
            api.update_session(&id, &defaults).await.map(drop),
            api.delete_session(&id).await,
        ] {
            let Err(error) = outcome else { continue };
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains(&KEY[7..]), "{shown}");
            assert!(error.retry_after().is_none_or(|after| after.as_secs() <= 86_400));
        }
    });
});
