//! Bodies pass piece by piece, both ways.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{body::Frame, service::service_fn};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use sipher_session::testing::{FakeSipher, Tier};
use tokio::{net::TcpListener, sync::mpsc};

use crate::support::{builder, code, limits, manager, raw, run, site_with, status};

type Pieces = mpsc::Receiver<Result<Frame<Bytes>, std::io::Error>>;

/// A body that is sent while the test goes on.
struct Channel(Pieces);

impl http_body::Body for Channel {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(cx)
    }
}

/// A server that sends each body back, piece by piece.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let echo = service_fn(|request: http::Request<hyper::body::Incoming>| async {
                Ok::<_, std::io::Error>(http::Response::new(request.into_body()))
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), echo);
            tokio::spawn(connection);
        }
    });
    base_url
}

/// Each piece comes back before the next one is sent. A proxy that collected a body would hang.
#[tokio::test]
async fn each_piece_passes_at_once_both_ways() {
    let sessions = manager(&echo().await).build().unwrap();
    let gateway = run(builder(&sessions));
    for http_2 in [false, true] {
        let client = Client::builder(TokioExecutor::new())
            .http2_only(http_2)
            .build_http();
        let (send, pieces) = mpsc::channel(1);
        let request = http::Request::post(format!("http://{}/v1/health", gateway.addr))
            .body(Channel(pieces))
            .unwrap();
        send.send(Ok(Frame::data("first".into()))).await.unwrap();
        let mut answer = client.request(request).await.unwrap().into_body();
        for piece in ["first", "second", "third"] {
            if piece != "first" {
                send.send(Ok(Frame::data(piece.into()))).await.unwrap();
            }
            let frame = answer.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), piece);
        }
        drop(send);
        // HTTP/2 may end with an empty frame.
        while let Some(frame) = answer.frame().await {
            assert!(frame.unwrap().into_data().unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn a_large_body_passes_whole() {
    const PIECES: usize = 1024;
    let sessions = manager(&echo().await).build().unwrap();
    let gateway = run(builder(&sessions).limits(limits(|it| it.max_body_bytes = 1 << 30)));
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (send, pieces) = mpsc::channel(1);
    let sending = tokio::spawn(async move {
        let piece = Bytes::from(vec![7; 64 * 1024]);
        for _ in 0..PIECES {
            send.send(Ok(Frame::data(piece.clone()))).await.unwrap();
        }
    });
    let request = http::Request::post(format!("http://{}/v1/health", gateway.addr))
        .body(Channel(pieces))
        .unwrap();
    let mut answer = client.request(request).await.unwrap().into_body();
    let mut received = 0;
    while let Some(frame) = answer.frame().await {
        received += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(received, PIECES * 64 * 1024);
    sending.await.unwrap();
}

#[tokio::test]
async fn a_body_too_long_is_answered_413_by_its_length_and_by_its_bytes() {
    let site = site_with(
        |it| it,
        |gateway| gateway.limits(limits(|it| it.max_body_bytes = 1000)),
    )
    .await;
    let head = format!(
        "POST /v1/stealth/generate HTTP/1.1\r\nhost: a\r\nx-api-key: {}\r\ncontent-type: application/json\r\n",
        site.key
    );
    let long = "a".repeat(1001);
    let answer = raw(
        site.gateway.addr,
        format!("{head}content-length: 1001\r\n\r\n"),
    )
    .await;
    assert_eq!(
        (status(&answer), code(&answer).as_str()),
        (413, "GATEWAY_BODY_TOO_LARGE")
    );
    assert_eq!(site.sipher.log().len(), 0, "refused by its length alone");
    let chunks = format!("{head}transfer-encoding: chunked\r\n\r\n3e9\r\n{long}\r\n0\r\n\r\n");
    let answer = raw(site.gateway.addr, chunks).await;
    assert_eq!(
        (status(&answer), code(&answer).as_str()),
        (413, "GATEWAY_BODY_TOO_LARGE")
    );
    let chain = site
        .sipher
        .log()
        .iter()
        .any(|exchange| exchange.chain.is_some());
    assert!(!chain, "carried out all the same");
}

/// The caller waits for `100 Continue` before it sends its body, and must not wait in vain. A refusal comes without it.
#[tokio::test]
async fn continue_comes_once_there_is_a_session() {
    use tokio::io::AsyncWriteExt;

    let sipher = FakeSipher::new();
    let (good, bad) = (sipher.api_key(Tier::Pro), sipher.api_key(Tier::Free));
    let server = sipher.serve().await.unwrap();
    let sessions = manager(&server.base_url()).build().unwrap();
    let gateway = run(builder(&sessions));
    for (key, expected) in [
        (good, "HTTP/1.1 100 Continue"),
        (bad, "HTTP/1.1 401 Unauthorized"),
    ] {
        let mut caller = tokio::net::TcpStream::connect(gateway.addr).await.unwrap();
        let head = format!(
            "POST /v1/stealth/generate HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n\
             content-length: 2\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n"
        );
        caller.write_all(head.as_bytes()).await.unwrap();
        let first = crate::support::read_until(&mut caller, "\r\n\r\n").await;
        assert!(first.starts_with(expected), "{first}");
        if first.contains("100") {
            caller.write_all(b"{}").await.unwrap();
            assert_eq!(status(&crate::support::rest(&mut caller).await), 200);
        }
    }
    let other =
        "GET /v1/health HTTP/1.1\r\nhost: a\r\nexpect: miracles\r\nconnection: close\r\n\r\n";
    assert_eq!(status(&raw(gateway.addr, other).await), 417);
}
