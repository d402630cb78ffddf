//! What callers get when Sipher does not answer.

use std::time::Duration;

use sipher_session::testing::{FakeSipher, Fault, Target, Tier, What};
use sipher_session_gateway::Upstream;

use crate::support::{
    builder, code, get, header, limits, manager, recorder, run, site, site_with, status,
};

#[tokio::test]
async fn a_server_that_is_not_there_is_502() {
    let mut site = site().await;
    site.server.close().await.unwrap();
    let answer = get(site.gateway.addr, "/v1/health").await;
    assert_eq!(
        (status(&answer), code(&answer).as_str()),
        (502, "GATEWAY_UPSTREAM_UNREACHABLE")
    );
    assert_eq!(
        header(&answer, "x-sipher-session-proof"),
        None,
        "Sipher did not answer"
    );
}

#[tokio::test]
async fn a_broken_connection_is_502() {
    let server = recorder("").await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut buffer = [0; 1024];
            let _ = std::io::Read::read(&mut &stream, &mut buffer);
        }
    });
    let gateway = run(builder(&manager(&base_url).build().unwrap()));
    let answer = get(gateway.addr, "/v1/health").await;
    assert_eq!(
        (status(&answer), code(&answer).as_str()),
        (502, "GATEWAY_UPSTREAM_BROKEN")
    );
    drop(server);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_504() {
    let short = limits(|limits| limits.upstream_timeout = Duration::from_millis(300));
    let site = site_with(
        |it| it,
        |gateway| {
            let client = Upstream::new(&short).unwrap();
            gateway.limits(short.clone()).client(client)
        },
    )
    .await;
    site.sipher
        .fault(Fault::new(What::Hang).on(Target::Calls).always());
    site.sipher
        .fault(Fault::new(What::Hang).on(Target::Health).always());
    let answer = get(site.gateway.addr, "/v1/health").await;
    assert_eq!(
        (status(&answer), code(&answer).as_str()),
        (504, "GATEWAY_UPSTREAM_TIMEOUT")
    );
}

/// A slow upload is not a slow server: its time counts from the last piece.
#[tokio::test]
async fn an_upload_may_take_longer_than_the_server() {
    use tokio::io::AsyncWriteExt;

    let short = limits(|limits| limits.upstream_timeout = Duration::from_millis(600));
    let site = site_with(
        |it| it,
        |gateway| {
            let client = Upstream::new(&short).unwrap();
            gateway.limits(short.clone()).client(client)
        },
    )
    .await;
    let mut caller = tokio::net::TcpStream::connect(site.gateway.addr)
        .await
        .unwrap();
    let head = format!(
        "POST /v1/stealth/generate HTTP/1.1\r\nhost: a\r\nx-api-key: {}\r\ncontent-type: application/json\r\n\
         content-length: 12\r\nconnection: close\r\n\r\n{{",
        site.key
    );
    caller.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(120)).await;
        caller.write_all(b" ").await.unwrap();
    }
    caller.write_all(b"}").await.unwrap();
    assert_eq!(status(&crate::support::rest(&mut caller).await), 200);
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let site = site().await;
    site.sipher
        .fault(Fault::new(What::HalfBody).on(Target::Calls));
    let answer = site.generate("").await;
    assert_eq!(status(&answer), 200, "{answer}");
    let length: usize =
        header(&answer, "content-length").map_or(usize::MAX, |it| it.parse().unwrap());
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    assert!(
        body.len() < length && !body.ends_with("0\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn without_a_session_nothing_is_sent() {
    let site = site().await;
    site.sipher
        .fault(Fault::new(What::Status(503)).on(Target::Create).always());
    let answer = site.generate("").await;
    assert_eq!(
        (status(&answer), code(&answer).as_str()),
        (503, "SERVICE_UNAVAILABLE")
    );
    let after: u64 = header(&answer, "retry-after").unwrap().parse().unwrap();
    assert!((1..=120).contains(&after), "{after}");
    assert!(
        answer.contains(&format!(r#""details":{{"retryAfter":{after}}}"#)),
        "{answer}"
    );
    let log = site.sipher.log();
    assert!(
        log.iter()
            .all(|exchange| exchange.path != "/v1/stealth/generate"),
        "{log:?}"
    );
}

#[tokio::test]
async fn what_the_caller_can_correct_has_the_callers_status() {
    let sipher = FakeSipher::new();
    let (free, spent) = (sipher.api_key(Tier::Free), sipher.api_key(Tier::Pro));
    sipher.burn(&spent, 2000);
    let server = sipher.serve().await.unwrap();
    let sessions = manager(&server.base_url()).build().unwrap();
    let gateway = run(builder(&sessions));
    for (headers, expected) in [
        (
            format!("x-api-key: {free}\r\n"),
            (401, "TIER_ACCESS_DENIED"),
        ),
        (
            "x-api-key: sk_pro_unknown\r\n".to_owned(),
            (401, "INVALID_API_KEY"),
        ),
        (
            format!("x-api-key: {spent}\r\n"),
            (429, "DAILY_QUOTA_EXCEEDED"),
        ),
        (
            "x-api-key: a\r\nx-api-key: b\r\n".to_owned(),
            (400, "GATEWAY_INVALID_REQUEST"),
        ),
        (String::new(), (401, "UNAUTHORIZED")),
    ] {
        let request =
            format!("GET /v1/backends HTTP/1.1\r\nhost: a\r\n{headers}connection: close\r\n\r\n");
        let answer = crate::support::raw(gateway.addr, request).await;
        assert_eq!(
            (status(&answer), code(&answer).as_str()),
            expected,
            "{answer}"
        );
        assert_eq!(
            header(&answer, "retry-after").is_some(),
            expected.1 != "GATEWAY_INVALID_REQUEST" && !headers.is_empty(),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn after_the_shutdown_callers_are_sent_elsewhere() {
    let site = site().await;
    site.sessions.shutdown(Duration::from_secs(1)).await;
    let answer = site.generate("").await;
    assert_eq!(
        (status(&answer), code(&answer).as_str()),
        (503, "GATEWAY_SHUTTING_DOWN")
    );
    assert!(header(&answer, "retry-after").is_some());
}
