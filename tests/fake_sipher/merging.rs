//! How the server reads a body, with a session and without, as recorded from the real server.

use http::Request;
use http_body_util::Full;
use sipher_session::testing::{FakeSipher, Tier};

use crate::{
    create, send,
    wire::{self, Answered, Case},
};

async fn answered(sipher: &FakeSipher, case: &Case, key: &str, session: Option<&str>) -> Answered {
    let uri = format!("{}{}", FakeSipher::base_url(), case.path);
    let mut request = Request::post(uri).body(Full::from(case.body())).unwrap();
    *request.headers_mut() = case.headers();
    request
        .headers_mut()
        .insert("x-api-key", key.parse().unwrap());
    if let Some(id) = session {
        request
            .headers_mut()
            .insert("x-session-id", id.parse().unwrap());
    }
    let (status, answer) = send(sipher, request).await.unwrap();
    let text = |pointer| {
        answer
            .pointer(pointer)
            .and_then(|text| text.as_str())
            .map(str::to_owned)
    };
    (status, text("/data/chain"), text("/error/code"))
}

#[tokio::test]
async fn bodies_are_merged_as_recorded() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Enterprise);
    let near = create(&sipher, &key, r#"{"chain":"near"}"#).await;
    for (number, case) in wire::cases().iter().enumerate() {
        let name = || {
            let line = number + 1;
            format!(
                "line {line}: {:?} {:?}",
                case.headers(),
                String::from_utf8_lossy(&case.body())
            )
        };
        assert_eq!(
            answered(&sipher, case, &key, Some(&near)).await,
            case.with,
            "{}",
            name()
        );
        assert_eq!(
            answered(&sipher, case, &key, None).await,
            case.without,
            "{}",
            name()
        );
    }
}
