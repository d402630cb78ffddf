//! Bodies that were recorded from the real server.

use std::collections::HashMap;

use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::ServiceExt;

use self::wire::Answered;
use super::{NotInlined, adjusted, inlined};
use crate::{
    api::{Chain, SessionDefaults},
    testing::{FakeSipher, Tier},
};

#[path = "../../../tests/wire/merge.rs"]
mod wire;

/// Returns the fake server's answer to a request without a session.
async fn answered(sipher: &FakeSipher, path: &str, headers: HeaderMap, body: Vec<u8>) -> Answered {
    let mut request = Request::post(path)
        .body(Full::<bytes::Bytes>::from(body))
        .unwrap();
    *request.headers_mut() = headers;
    let answer = sipher.clone().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let answer = answer.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let text = |pointer| Some(answer.pointer(pointer)?.as_str()?.to_owned());
    (status, text("/data/chain"), text("/error/code"))
}

#[tokio::test]
async fn without_a_session_a_merged_body_is_answered_as_the_body_was_with_one() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Enterprise);
    let near = SessionDefaults::new().chain(Chain::Near);
    let mut counts = HashMap::new();
    for (number, case) in wire::cases().into_iter().enumerate() {
        let (mut headers, body) = (case.headers(), case.body());
        headers.insert("x-api-key", key.parse().unwrap());
        let line = number + 1;
        let outcome = inlined(&headers, &body, &near);
        let makes_a_difference = case.with != case.without;
        let kind = match outcome {
            Ok(None) => {
                assert!(!makes_a_difference, "line {line}");
                "complete"
            }
            Ok(Some(merged)) => {
                let headers = adjusted(headers, &merged);
                let answer = answered(&sipher, &case.path, headers, merged).await;
                assert_eq!(answer, case.with, "line {line}");
                "merged"
            }
            Err(reason) if reason.is_servers() => {
                assert!(!makes_a_difference, "line {line}: {reason:?}");
                "the server merges nothing"
            }
            Err(NotInlined::Encoded) => "encoded",
            Err(NotInlined::Charset) => "charset",
            Err(reason) => panic!("line {line}: {reason:?}"),
        };
        *counts.entry((kind, makes_a_difference)).or_insert(0) += 1;
    }
    // For 529 of the bodies, a session makes a difference.
    let expected = HashMap::from([
        (("merged", true), 504),
        (("encoded", true), 21),
        (("charset", true), 4),
        (("merged", false), 161),
        (("complete", false), 484),
        (("encoded", false), 67),
        (("charset", false), 313),
        (("the server merges nothing", false), 946),
    ]);
    assert_eq!(counts, expected);
}
