//! Requests that two servers could read in two ways.

use tokio::io::AsyncWriteExt;

use crate::support::{code, raw, rest, site, status};

async fn refused(request: &str, expected: u16) -> String {
    let site = site().await;
    let answer = raw(site.gateway.addr, request).await;
    assert_eq!(status(&answer), expected, "{request}\n{answer}");
    assert_eq!(site.sipher.log().len(), 0, "{:?}", site.sipher.log());
    answer
}

#[tokio::test]
async fn no_server_but_sipher_can_be_asked_for() {
    for request in [
        "GET http://elsewhere.example/v1/health HTTP/1.1\r\nhost: elsewhere.example\r\nconnection: close\r\n\r\n",
        "GET http://127.0.0.1/v1/health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        "CONNECT elsewhere.example:443 HTTP/1.1\r\nhost: elsewhere.example\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    ] {
        let answer = refused(request, 400).await;
        assert_eq!(code(&answer), "GATEWAY_BAD_TARGET");
    }
}

#[tokio::test]
async fn a_request_is_for_one_host() {
    for hosts in ["", "host: a\r\nhost: b\r\n"] {
        let answer = refused(
            &format!("GET /v1/health HTTP/1.1\r\n{hosts}connection: close\r\n\r\n"),
            400,
        )
        .await;
        assert_eq!(code(&answer), "GATEWAY_BAD_HOST");
    }
}

#[tokio::test]
async fn a_body_of_doubtful_length_is_refused() {
    for lines in [
        "content-length: 2\r\ncontent-length: 3\r\n",
        "content-length: 2, 3\r\n",
        "content-length: -2\r\n",
        "content-length: +2\r\n",
        "content-length: 0x2\r\n",
        "transfer-encoding: gzip\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: xchunked\r\n",
        "content-length: 2\r\nx-one: a\r\n folded: b\r\n",
        "content-length : 2\r\n",
        "x-\u{0}one: a\r\ncontent-length: 2\r\n",
    ] {
        refused(
            &format!("POST /v1/health HTTP/1.1\r\nhost: a\r\n{lines}\r\n{{}}"),
            400,
        )
        .await;
    }
    // HTTP/1.0 knows no chunks.
    refused(
        "POST /v1/health HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    )
    .await;
}

/// RFC 9112 allows to read the chunks, and demands that nothing more is read from such a connection. A proxy in front
/// that believes the length would take what follows for the body, and here it would be a request.
#[tokio::test]
async fn after_chunks_with_a_length_nothing_more_is_read() {
    for lines in [
        "content-length: 6\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 6\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        let site = site().await;
        let request = format!(
            "POST /v1/health HTTP/1.1\r\nhost: a\r\n{lines}\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n"
        );
        let answer = raw(site.gateway.addr, request).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        let log = site.sipher.log();
        assert!(
            log.iter().all(|exchange| exchange.path == "/v1/health"),
            "{log:?}"
        );
        assert_eq!(log.len(), 1);
    }
}

#[tokio::test]
async fn broken_chunks_reach_nobody_as_a_whole_body() {
    for chunks in [
        "2x\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}}}0\r\n\r\n",
        "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    ] {
        let site = site().await;
        let request = format!(
            "POST /v1/stealth/generate HTTP/1.1\r\nhost: a\r\nx-api-key: {}\r\ncontent-type: application/json\r\n\
             transfer-encoding: chunked\r\n\r\n{chunks}",
            site.key
        );
        let answer = raw(site.gateway.addr, request).await;
        assert_eq!(status(&answer), 400, "{answer}");
        assert_eq!(code(&answer), "GATEWAY_BODY_BROKEN");
        let log = site.sipher.log();
        assert!(
            log.iter().all(|exchange| exchange.chain.is_none()),
            "{log:?}"
        );
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_one_after_the_other() {
    let site = site().await;
    let one = "GET /v1/health HTTP/1.1\r\nhost: a\r\n\r\n";
    let last = "GET /v1/errors HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut stream = tokio::net::TcpStream::connect(site.gateway.addr)
        .await
        .unwrap();
    stream
        .write_all(format!("{one}{one}{last}").as_bytes())
        .await
        .unwrap();
    let answers = rest(&mut stream).await;
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 3, "{answers}");
}
