//! The fault script.

use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::json;
use sipher_session::{
    clock::Clock,
    testing::{
        DeadReason, FakeError, FakeSipher, Fault, Operation, SessionUse, Target, Tier, What,
    },
};
use tokio::time::timeout;
use tower::ServiceExt;

use crate::{create, create_request, on, send, stealth, stealth_request};

const NEAR: &str = r#"{"chain":"near"}"#;

/// Returns a fake, a pro key, and a live session of that key on `near`.
async fn fake() -> (FakeSipher, String, String) {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let id = create(&sipher, &key, NEAR).await;
    (sipher, key, id)
}

/// Returns the answer to a create with this fault.
async fn create_with(
    sipher: &FakeSipher,
    key: &str,
    what: What,
) -> Result<(u16, serde_json::Value), FakeError> {
    sipher.fault(Fault::new(what).on(Target::Create));
    send(sipher, create_request(key, NEAR)).await
}

#[tokio::test]
async fn faults_come_in_order_on_their_target_and_then_end() {
    let (sipher, key, id) = fake().await;
    sipher.fault(
        Fault::new(What::Status(503))
            .on(Target::Create)
            .after(1)
            .times(2),
    );
    sipher.fault(Fault::new(What::Status(418)).on(Target::Others));
    let create = async || send(&sipher, create_request(&key, NEAR)).await.unwrap().0;
    assert_eq!([create().await, create().await], [201, 503]);
    assert_eq!(on(&sipher, "GET", &key, &id, "").await, 200);
    let call = async || send(&sipher, stealth_request(&key, &id)).await.unwrap().0;
    assert_eq!([call().await, call().await], [418, 200]);
    assert_eq!([create().await, create().await], [503, 201]);
    sipher.fault(Fault::new(What::Refuse).on(Target::SessionCalls).always());
    assert_eq!(
        send(&sipher, create_request(&key, NEAR)).await,
        Err(FakeError::Refused)
    );
    sipher.clear_faults();
    assert_eq!(create().await, 201);
    assert_eq!(
        sipher.count(Operation::Create),
        7,
        "refused ones are in the log"
    );
}

#[tokio::test]
async fn a_status_comes_with_siphers_code() {
    let (sipher, key, id) = fake().await;
    for (status, code) in [
        (500, "SESSION_CREATE_FAILED"),
        (503, "SERVICE_UNAVAILABLE"),
        (401, "INVALID_API_KEY"),
    ] {
        let (got, body) = create_with(&sipher, &key, What::Status(status))
            .await
            .unwrap();
        assert_eq!((got, &body["error"]["code"]), (status, &json!(code)));
    }
    sipher.fault(Fault::new(What::Status(410)).on(Target::Get));
    assert_eq!(on(&sipher, "GET", &key, &id, "").await, 410);
    assert_eq!(sipher.live_sessions(), 1, "nothing was handled");
}

#[tokio::test]
async fn answers_that_are_not_siphers() {
    let (sipher, key, _) = fake().await;
    let answer = async |what| {
        sipher.fault(Fault::new(what));
        let answer = sipher
            .clone()
            .oneshot(create_request(&key, NEAR))
            .await
            .unwrap();
        let (head, body) = answer.into_parts();
        (head, body.collect().await.unwrap().to_bytes())
    };
    let (head, body) = answer(What::Html(502)).await;
    assert_eq!(
        (head.status.as_u16(), &head.headers["content-type"]),
        (502, &"text/html".parse().unwrap())
    );
    assert!(body.starts_with(b"<html>"));
    let (head, body) = answer(What::Huge(3_000_000)).await;
    assert_eq!((head.status.as_u16(), body.len()), (201, 3_000_000));
    let (_, body) = answer(What::Malformed).await;
    assert!(serde_json::from_slice::<serde_json::Value>(&body).is_err());
    let (head, _) = answer(What::RedirectTo("https://elsewhere.example/".to_owned())).await;
    assert_eq!(
        (head.status.as_u16(), head.headers["location"].as_bytes()),
        (307, &b"https://elsewhere.example/"[..])
    );
    let headers = [("content-type", "text/plain"), ("date", "long ago")];
    let headers = headers
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let (head, body) = answer(What::Answer {
        status: 299,
        headers,
        body: "own".to_owned(),
    })
    .await;
    assert_eq!((head.status.as_u16(), &body[..]), (299, &b"own"[..]));
    assert_eq!(head.headers["content-type"], "text/plain");
    assert_eq!(head.headers["date"], "long ago");
    assert_eq!(head.headers.get_all("content-type").iter().count(), 1);
    let limited = |retry_after, in_body| {
        answer(What::RateLimited {
            retry_after,
            in_body,
        })
    };
    let (head, body) = limited(Some(7), true).await;
    assert_eq!(head.headers["retry-after"], "7");
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["details"]["retryAfter"], 7);
    let (head, body) = limited(None, false).await;
    assert!(!head.headers.contains_key("retry-after"));
    assert!(!String::from_utf8_lossy(&body).contains("retryAfter"));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_early_leaves_nothing_behind() {
    let (sipher, key, _) = fake().await;
    for what in [What::Delay(Duration::from_secs(10)), What::Hang] {
        let call = create_with(&sipher, &key, what);
        assert!(timeout(Duration::from_secs(9), call).await.is_err());
    }
    sipher.set_latency(Duration::from_secs(10));
    let call = send(&sipher, create_request(&key, NEAR));
    assert!(timeout(Duration::from_secs(9), call).await.is_err());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(sipher.live_sessions(), 1);
    assert_eq!(
        sipher.count(Operation::Create),
        4,
        "but they are in the log"
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_outlives_its_log_entry_writes_into_no_other() {
    let (sipher, key, id) = fake().await;
    let slow = What::Delay(Duration::from_secs(1));
    sipher.fault(Fault::new(slow).on(Target::Create));
    let clear = async {
        tokio::task::yield_now().await;
        sipher.clear_log();
        stealth(&sipher, &key, &id).await
    };
    let (created, _) = tokio::join!(create(&sipher, &key, NEAR), clear);
    assert!(sipher.is_live(&created));
    let statuses: Vec<_> = sipher
        .log()
        .iter()
        .map(|exchange| exchange.status)
        .collect();
    assert_eq!(statuses, [200]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_late_undoes_nothing() {
    let (sipher, key, _) = fake().await;
    for what in [What::DelayAnswer(Duration::from_secs(10)), What::HangAnswer] {
        let call = create_with(&sipher, &key, what);
        assert!(timeout(Duration::from_secs(9), call).await.is_err());
    }
    assert_eq!(sipher.live_sessions(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_session_deleted_while_a_call_is_on_its_way_does_not_apply() {
    let (sipher, key, id) = fake().await;
    sipher.fault(Fault::new(What::Delay(Duration::from_secs(2))).on(Target::Others));
    let call = stealth(&sipher, &key, &id);
    let delete = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        on(&sipher, "DELETE", &key, &id, "").await
    };
    let start = sipher.clock().now();
    assert_eq!(tokio::join!(call, delete), ("solana".to_owned(), 200));
    assert_eq!(sipher.clock().now().since(start).as_secs(), 2);
    let call = &sipher.log()[1];
    let SessionUse::Dead { why, .. } = call.session else {
        panic!("{call:?}");
    };
    assert_eq!(why, DeadReason::Deleted);
}

#[tokio::test]
async fn a_lost_request_does_nothing_and_a_lost_answer_undoes_nothing() {
    let (sipher, key, _) = fake().await;
    let lost = Err(FakeError::Reset);
    assert_eq!(create_with(&sipher, &key, What::LoseRequest).await, lost);
    assert_eq!(sipher.live_sessions(), 1);
    assert_eq!(create_with(&sipher, &key, What::LoseAnswer).await, lost);
    assert_eq!(sipher.live_sessions(), 2);
    assert_eq!(create_with(&sipher, &key, What::HalfBody).await, lost);
    assert_eq!(sipher.live_sessions(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_comes_byte_by_byte() {
    let (sipher, key, _) = fake().await;
    let start = sipher.clock().now();
    let pause = Duration::from_secs(1);
    let (_, body) = create_with(&sipher, &key, What::SlowBody(pause))
        .await
        .unwrap();
    assert_eq!(
        sipher.clock().now().since(start),
        pause * u32::try_from(body.to_string().len()).unwrap()
    );
}

#[tokio::test]
async fn a_request_delivered_twice_is_handled_twice() {
    let (sipher, key, id) = fake().await;
    create_with(&sipher, &key, What::DuplicateDelivery)
        .await
        .unwrap();
    assert_eq!(sipher.live_sessions(), 3);
    sipher.fault(Fault::new(What::DuplicateDelivery).on(Target::Delete));
    assert_eq!(
        on(&sipher, "DELETE", &key, &id, "").await,
        404,
        "the second answer"
    );
    let statuses: Vec<_> = sipher
        .log()
        .iter()
        .map(|exchange| exchange.status)
        .collect();
    assert_eq!(statuses, [201, 201, 201, 200, 404]);
}

#[tokio::test(start_paused = true)]
async fn creates_that_go_subtly_wrong() {
    let (sipher, key, _) = fake().await;
    let wrong = async |what| {
        // A call that is no create must not use up the fault.
        sipher.fault(Fault::new(what));
        stealth(&sipher, &key, "").await;
        let (status, body) = send(&sipher, create_request(&key, NEAR)).await.unwrap();
        assert_eq!(status, 201);
        body["data"].clone()
    };
    let id = |data: &serde_json::Value| data["sessionId"].as_str().unwrap().to_owned();
    let life = |data: &serde_json::Value| {
        data["expiresAt"].as_u64().unwrap() - data["createdAt"].as_u64().unwrap()
    };

    let data = wrong(What::EchoWrong).await;
    assert_ne!(data["defaults"]["chain"], "near");
    assert_eq!(stealth(&sipher, &key, &id(&data)).await, "near");

    let data = wrong(What::DropDefault("chain".to_owned())).await;
    assert_eq!(data["defaults"], json!({}));
    assert_eq!(stealth(&sipher, &key, &id(&data)).await, "solana");

    let data = wrong(What::ShortLife(Duration::from_secs(30))).await;
    assert_eq!(life(&data), 30_000);

    let data = wrong(What::ExpireEarly(Duration::from_secs(3000))).await;
    assert_eq!(life(&data), 3_600_000);
    tokio::time::advance(Duration::from_secs(599)).await;
    assert!(sipher.is_live(&id(&data)));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(!sipher.is_live(&id(&data)));
}
