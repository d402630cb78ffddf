//! Which headers pass, and which end here.

use crate::support::{Recorder, builder, header, manager, raw, recorder, run, status};

/// A public path, so that no session call comes in between.
const PATH: &str = "/v1/health?a=%20b";

async fn exchange(more: &str, answer: &'static str) -> (String, String) {
    let Recorder {
        base_url,
        mut heads,
    } = recorder(answer).await;
    let sessions = manager(&base_url).build().unwrap();
    let gateway = run(builder(&sessions));
    let request = format!("GET {PATH} HTTP/1.1\r\nhost: local.example\r\n{more}\r\n");
    let answer = raw(gateway.addr, request).await;
    let head = heads.recv().await.unwrap();
    assert!(
        head.contains(&format!("host: {}\r\n", &base_url[7..])),
        "{head}"
    );
    assert!(
        head.starts_with(&format!("GET {PATH} HTTP/1.1\r\n")),
        "{head}"
    );
    (head.to_lowercase(), answer)
}

const PLAIN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

#[tokio::test]
async fn headers_of_one_connection_end_here() {
    let more = "connection: close, x-mine, keep-alive\r\nx-mine: 1\r\nkeep-alive: timeout=9\r\nupgrade: websocket\r\n\
                proxy-authorization: Basic c2VjcmV0\r\nproxy-connection: x\r\nte: gzip\r\nx-end-to-end: 2\r\n";
    let (head, answer) = exchange(more, PLAIN).await;
    for gone in [
        "x-mine",
        "keep-alive",
        "upgrade",
        "proxy-",
        "te:",
        "connection:",
    ] {
        assert!(!head.contains(gone), "{gone}: {head}");
    }
    assert!(head.contains("x-end-to-end: 2"), "{head}");
    assert_eq!(status(&answer), 200);
}

#[tokio::test]
async fn sipher_learns_nothing_of_the_callers_network_but_the_way() {
    let more = "connection: close\r\nforwarded: for=192.0.2.1\r\nx-forwarded-for: 192.0.2.1\r\nx-forwarded-host: evil\r\n\
                x-forwarded-proto: https\r\nx-real-ip: 192.0.2.1\r\nvia: 1.0 fred\r\n";
    let (head, _) = exchange(more, PLAIN).await;
    assert!(
        !head.contains("forwarded") && !head.contains("192.0.2.1"),
        "{head}"
    );
    assert!(!head.contains("local.example"), "{head}");
    assert!(
        head.contains("via: 1.0 fred\r\nvia: 1.1 sipher-session-gateway\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn an_answers_headers_are_cleaned_too() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: x-inner\r\nx-inner: 1\r\nkeep-alive: timeout=5\r\n\
                  x-sipher-session-proof: confirmed\r\nx-session-id: sess_1\r\nx-request-id: 7\r\n\r\nhi";
    let (_, answer) = exchange("connection: close\r\n", answer).await;
    assert_eq!(
        header(&answer, "x-sipher-session-proof"),
        Some("none"),
        "{answer}"
    );
    assert_eq!(
        answer.matches("x-sipher-session-proof").count(),
        1,
        "{answer}"
    );
    assert!(
        !answer.contains("x-inner") && !answer.contains("sess_1"),
        "{answer}"
    );
    assert_eq!(header(&answer, "keep-alive"), None);
    assert_eq!(header(&answer, "x-request-id"), Some("7"));
    assert_eq!(header(&answer, "via"), Some("1.1 sipher-session-gateway"));
}

#[tokio::test]
async fn trailers_are_asked_for_if_the_caller_takes_them() {
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 9\r\n\r\n";
    let (head, answer) = exchange("connection: close, te\r\nte: trailers\r\n", answer).await;
    assert!(
        head.contains("te: trailers\r\n") && head.contains("connection: te\r\n"),
        "{head}"
    );
    assert!(answer.ends_with("0\r\nx-sum: 9\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_head_has_no_body_and_keeps_its_length() {
    let Recorder {
        base_url,
        mut heads,
    } = recorder("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n").await;
    let sessions = manager(&base_url).build().unwrap();
    let gateway = run(builder(&sessions));
    let request = "HEAD /v1/health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = raw(gateway.addr, request).await;
    assert!(heads.recv().await.unwrap().starts_with("HEAD /v1/health"));
    assert_eq!(header(&answer, "content-length"), Some("1234"));
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_switch_of_protocols_is_never_passed_on() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let (_, answer) = exchange("connection: close, upgrade\r\nupgrade: x\r\n", answer).await;
    assert_eq!(status(&answer), 502, "{answer}");
}

#[tokio::test]
async fn a_gateway_before_itself_says_so() {
    let Recorder { base_url, .. } = recorder(PLAIN).await;
    let sessions = manager(&base_url).build().unwrap();
    let gateway = run(builder(&sessions));
    let request = "GET /v1/health HTTP/1.1\r\nhost: a\r\nvia: 1.1 sipher-session-gateway\r\nconnection: close\r\n\r\n";
    let answer = raw(gateway.addr, request).await;
    assert_eq!(
        (status(&answer), crate::support::code(&answer).as_str()),
        (508, "GATEWAY_LOOP")
    );
}
