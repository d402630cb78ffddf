//! Refusals by the server become typed errors.

use std::time::Duration;

use serde_json::json;
use sipher_session::{
    Chain, Error, ErrorKind, SessionDefaults, SessionId,
    api::CreateSession,
    testing::{Fault, Target, Tier, What},
};

use crate::{World, over_every_transport};

over_every_transport!(
    a_refused_key_is_told_from_a_tier_without_sessions,
    what_is_wrong_with_a_create_is_named,
    a_session_that_is_not_there_is_told_of_without_its_id,
    too_many_calls_say_when_to_come_back,
    a_used_up_day_says_when_it_ends,
    a_code_that_nobody_knows_yet_is_kept
);

async fn create(world: &World) -> Error {
    let request = CreateSession::new(SessionDefaults::new());
    world.api.create_session(&request).await.unwrap_err()
}

#[track_caller]
fn assert_is(error: &Error, kind: ErrorKind, status: u16, code: &str) {
    assert_eq!(error.kind(), kind);
    assert_eq!(error.status().unwrap(), status);
    assert_eq!(error.code(), Some(code));
    assert!(error.request_id().is_some_and(|id| !id.is_empty()));
}

async fn a_refused_key_is_told_from_a_tier_without_sessions(world: World) {
    let request = CreateSession::new(SessionDefaults::new());
    let wrong = world.with_key("sk_pro_hunter2");
    let error = wrong.create_session(&request).await.unwrap_err();
    assert_is(&error, ErrorKind::Credentials, 401, "INVALID_API_KEY");
    let free = world.sipher.api_key(Tier::Free);
    let error = world.with_key(&free).create_session(&request).await;
    let error = error.unwrap_err();
    assert_is(&error, ErrorKind::Credentials, 403, "TIER_ACCESS_DENIED");
    assert!(!error.is_transient());
}

async fn what_is_wrong_with_a_create_is_named(world: World) {
    let request = CreateSession::new(SessionDefaults::new().chain(Chain::from("dogecoin")));
    let request = request.ttl(Duration::from_secs(59));
    let error = world.api.create_session(&request).await.unwrap_err();
    assert_is(&error, ErrorKind::Rejected, 400, "VALIDATION_ERROR");
    let details = error.details().unwrap();
    assert_eq!(details[0]["path"], json!(["defaults", "chain"]));
    assert_eq!(details[1]["path"], json!(["ttlSeconds"]));
    let message = crate::said(&error);
    assert!(message.starts_with(
        "the server answered 400 VALIDATION_ERROR: Invalid request data; defaults.chain: "
    ));
    assert!(
        message.ends_with("; ttlSeconds: Too small: expected number to be >=60"),
        "{message}"
    );
    assert!(!error.is_transient());
}

async fn a_session_that_is_not_there_is_told_of_without_its_id(world: World) {
    let digits = "0123456789abcdef".repeat(4);
    let id = SessionId::parse(&format!("sess_{digits}")).unwrap();
    for error in [
        world.api.get_session(&id).await.map(drop).unwrap_err(),
        world.api.delete_session(&id).await.unwrap_err(),
    ] {
        assert_is(&error, ErrorKind::NotFound, 404, "SESSION_NOT_FOUND");
        assert!(
            !format!("{error} {error:?}").contains("0123456789"),
            "{error:?}"
        );
        assert_eq!(
            crate::said(&error),
            "the server answered 404 SESSION_NOT_FOUND: Session not found: sess_[redacted]"
        );
    }
}

async fn too_many_calls_say_when_to_come_back(world: World) {
    for (retry_after, in_body, expected) in [
        (Some(17), true, Some(17)),
        (Some(9), false, Some(9)),
        (None, true, Some(60)),
        (None, false, None),
    ] {
        let limited = What::RateLimited {
            retry_after,
            in_body,
        };
        world.sipher.fault(Fault::new(limited));
        let error = create(&world).await;
        assert_is(&error, ErrorKind::RateLimited, 429, "RATE_LIMIT_EXCEEDED");
        assert_eq!(error.retry_after(), expected.map(Duration::from_secs));
        assert!(error.is_transient());
    }
}

async fn a_used_up_day_says_when_it_ends(world: World) {
    world.sipher.burn(&world.key, 2_000);
    let error = create(&world).await;
    assert_is(&error, ErrorKind::Quota, 429, "DAILY_QUOTA_EXCEEDED");
    assert!(error.details().unwrap()["resetAt"].is_string());
    // The fake's clock starts at 18:00, six hours before the day ends.
    let wait = error.retry_after().unwrap();
    assert!(wait <= Duration::from_secs(6 * 3600) && wait > Duration::from_secs(5 * 3600));
}

async fn a_code_that_nobody_knows_yet_is_kept(world: World) {
    let body = json!({ "success": false, "error": {
        "code": "SESSION_PAUSED", "message": "by hunter2", "details": { "until": 5 },
    }});
    world.sipher.fault(Fault::new(What::Answer {
        status: 418,
        headers: vec![("x-request-id".to_owned(), "req-7".to_owned())],
        body: body.to_string(),
    }));
    let error = create(&world).await;
    assert_is(&error, ErrorKind::Rejected, 418, "SESSION_PAUSED");
    assert_eq!(error.details(), Some(&json!({ "until": 5 })));
    assert_eq!(error.request_id(), Some("req-7"));

    // These codes are in Sipher's catalogue, but its server does not send them.
    for (status, code, kind) in [
        (410, "SESSION_EXPIRED", ErrorKind::Rejected),
        (500, "SESSION_CREATE_FAILED", ErrorKind::Unavailable),
        (503, "SERVICE_UNAVAILABLE", ErrorKind::Unavailable),
    ] {
        world
            .sipher
            .fault(Fault::new(What::Error(status, code)).on(Target::Create));
        assert_is(&create(&world).await, kind, status, code);
    }
}
