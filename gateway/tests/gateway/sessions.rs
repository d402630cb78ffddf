//! Every call has its session and its defaults.

use sipher_session::{
    Chain, InlineDefaults,
    testing::{Operation, SessionUse, Tier},
};
use tokio::task::JoinSet;

use crate::support::{header, raw, site, site_with, status};

#[tokio::test]
async fn every_call_has_a_session_and_its_chain() {
    let site = site().await;
    for _ in 0..5 {
        let answer = site.generate("").await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(answer.contains(r#""chain":"near""#), "{answer}");
        let proof = header(&answer, "x-sipher-session-proof").unwrap();
        assert!(
            proof == "session" || proof == "session;doubt=unproven",
            "{proof}"
        );
    }
    assert_eq!(site.sipher.count(Operation::Create), 1);
    site.sipher.assert_every_call_had_a_session();
}

#[tokio::test]
async fn a_hundred_callers_at_once_share_one_session_for_each_key() {
    let site = site().await;
    let other = site.sipher.api_key(Tier::Pro);
    let mut calls = JoinSet::new();
    for key in [&site.key, &other].repeat(50) {
        let request = format!(
            "POST /v1/stealth/generate HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
        );
        calls.spawn(raw(site.gateway.addr, request));
    }
    while let Some(answer) = calls.join_next().await {
        assert_eq!(status(&answer.unwrap()), 200);
    }
    assert_eq!(site.sipher.count(Operation::Create), 2);
    assert_eq!(site.sipher.live_sessions_of(&other), 1);
    site.sipher.assert_every_call_had_a_session();
}

#[tokio::test]
async fn with_inline_defaults_a_restart_costs_nothing() {
    let mut site = site_with(
        |sessions| sessions.inline_defaults(InlineDefaults::Always),
        |it| it,
    )
    .await;
    let first = site.generate("").await;
    assert_eq!(header(&first, "x-sipher-session-proof"), Some("inline"));
    for _ in 0..3 {
        site.server.close().await.unwrap();
        site.sipher.restart();
        site.server.reopen().unwrap();
        for _ in 0..3 {
            assert_eq!(status(&site.generate("").await), 200);
        }
    }
    site.sipher.assert_every_call_used(&Chain::Near);
}

#[tokio::test]
async fn a_callers_own_id_is_replaced() {
    let site = site().await;
    let id = format!("sess_{}", "a".repeat(64));
    let answer = site.generate(&format!("x-session-id: {id}\r\n")).await;
    assert_eq!(status(&answer), 200, "{answer}");
    site.sipher.assert_every_call_had_a_session();
    let log = site.sipher.log();
    assert!(
        matches!(&log.last().unwrap().session, SessionUse::Live { id: used, .. } if *used != id)
    );
}

#[tokio::test]
async fn a_public_page_needs_no_key_and_proves_nothing() {
    let site = site().await;
    let answer = crate::support::get(site.gateway.addr, "/v1/health").await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(header(&answer, "x-sipher-session-proof"), Some("none"));
    assert_eq!(site.sipher.session_calls(), 0);
}

#[tokio::test]
async fn http_2_works_as_well() {
    use http_body_util::{BodyExt, Full};
    use hyper_util::{client::legacy::Client, rt::TokioExecutor};

    let site = site().await;
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http::<Full<bytes::Bytes>>();
    for _ in 0..3 {
        let request =
            http::Request::post(format!("http://{}/v1/stealth/generate", site.gateway.addr))
                .header("x-api-key", &site.key)
                .header("content-type", "application/json")
                .body(Full::from("{}"))
                .unwrap();
        let answer = client.request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.version(), http::Version::HTTP_2);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains(r#""chain":"near""#));
    }
    site.sipher.assert_every_call_had_a_session();
}
