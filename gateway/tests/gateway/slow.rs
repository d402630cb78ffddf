//! Callers that take their time.

use std::time::Duration;

use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::support::{code, get, header, limits, read_until, rest, site_with, status};

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_head_that_drips_gains_no_time() {
    let site = site_with(
        |it| it,
        |gateway| gateway.limits(limits(|limits| limits.header_timeout = SHORT)),
    )
    .await;
    let mut stream = TcpStream::connect(site.gateway.addr).await.unwrap();
    let begun = Instant::now();
    let (mut reader, mut writer) = stream.split();
    let drip = async {
        for byte in "GET /v1/health HTTP/1.1\r\nhost: a\r\nx-long: "
            .bytes()
            .chain([b'a'; 10_000])
        {
            if writer.write_all(&[byte]).await.is_err() {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let closed = async {
        let mut answer = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut answer).await;
    };
    tokio::select! { () = drip => {}, () = closed => {} }
    // Idle connections may stay for 60 s, and a second is for the goodbye.
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(site.sipher.log().len(), 0);
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    for beginning in ["", "PRI * HT"] {
        let site = site_with(
            |it| it,
            |gateway| gateway.limits(limits(|limits| limits.header_timeout = SHORT)),
        )
        .await;
        let mut stream = TcpStream::connect(site.gateway.addr).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        assert_eq!(rest(&mut stream).await, "");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_new_head_has_its_time() {
    let site = site_with(
        |it| it,
        |gateway| gateway.limits(limits(|limits| limits.idle_timeout = SHORT)),
    )
    .await;
    let mut stream = TcpStream::connect(site.gateway.addr).await.unwrap();
    stream
        .write_all(b"GET /v1/health HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let answer = rest(&mut stream).await;
    assert_eq!(status(&answer), 200);
}

#[tokio::test]
async fn a_body_that_stalls_is_answered_408() {
    let site = site_with(
        |it| it,
        |gateway| gateway.limits(limits(|limits| limits.idle_timeout = SHORT)),
    )
    .await;
    let mut stream = TcpStream::connect(site.gateway.addr).await.unwrap();
    let request = format!(
        "POST /v1/stealth/generate HTTP/1.1\r\nhost: a\r\nx-api-key: {}\r\ncontent-type: application/json\r\n\
         content-length: 10\r\n\r\n{{",
        site.key
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let answer = rest(&mut stream).await;
    assert_eq!(
        (status(&answer), code(&answer).as_str()),
        (408, "GATEWAY_BODY_TIMEOUT")
    );
    assert_eq!(header(&answer, "connection"), Some("close"));
}

#[tokio::test]
async fn a_connection_too_many_is_told_so() {
    let site = site_with(
        |it| it,
        |gateway| gateway.limits(limits(|limits| limits.max_connections = 1)),
    )
    .await;
    let mut first = TcpStream::connect(site.gateway.addr).await.unwrap();
    first
        .write_all(b"GET /v1/health HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(status(&read_until(&mut first, "\r\n\r\n").await), 200);
    let answer = get(site.gateway.addr, "/v1/health").await;
    assert_eq!(
        (status(&answer), code(&answer).as_str()),
        (503, "GATEWAY_TOO_MANY_CONNECTIONS")
    );
    assert!(header(&answer, "retry-after").is_some());
    drop(first);
    // The place is free as soon as the gateway has seen the end.
    while status(&get(site.gateway.addr, "/v1/health").await) != 200 {
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_head_too_long_is_answered_431() {
    let site = site_with(
        |it| it,
        |gateway| {
            gateway.limits(limits(|limits| {
                limits.max_header_bytes = 8192;
                limits.max_headers = 10;
            }))
        },
    )
    .await;
    let long = format!("x-long: {}\r\n", "a".repeat(9000));
    let many = "x-one: 1\r\n".repeat(11);
    for headers in [long, many] {
        let request =
            format!("GET /v1/health HTTP/1.1\r\nhost: a\r\n{headers}connection: close\r\n\r\n");
        let answer = crate::support::raw(site.gateway.addr, request).await;
        assert_eq!(status(&answer), 431, "{answer}");
    }
    assert_eq!(site.sipher.log().len(), 0);
}

#[tokio::test]
async fn a_stop_lets_calls_end_and_cuts_off_what_takes_too_long() {
    for (drain, cut_off) in [(Duration::from_secs(10), 0), (SHORT, 1)] {
        let site = site_with(
            |it| it,
            |gateway| gateway.limits(limits(|limits| limits.drain_timeout = drain)),
        )
        .await;
        site.sessions
            .ready(site.key.as_str(), site.sessions.defaults())
            .await
            .unwrap();
        site.sipher.set_latency(Duration::from_secs(1));
        let mut stream = TcpStream::connect(site.gateway.addr).await.unwrap();
        let request = format!(
            "GET /v1/backends HTTP/1.1\r\nhost: a\r\nx-api-key: {}\r\n\r\n",
            site.key
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        while site
            .sipher
            .log()
            .last()
            .is_none_or(|last| last.path != "/v1/backends")
        {
            sleep(Duration::from_millis(5)).await;
        }
        site.gateway.stop.stop();
        let answer = rest(&mut stream).await;
        assert_eq!(answer.contains("200 OK"), cut_off == 0, "{answer}");
        assert_eq!(site.gateway.served.await.unwrap().cut_off, cut_off);
        assert!(TcpStream::connect(site.gateway.addr).await.is_err());
    }
}
