//! Reads the server's answers: returns the expected value, or an error of the right kind.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::scrub;
use crate::{
    api::{Stamp, is_by_application},
    error::{Answer, Error, ErrorKind},
};

/// A quota is for one day, so no wait for it is longer.
const MAX_QUOTA: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest wait after all other answers. A gateway may have written the answer, and its `Retry-After` of a day
/// would stop every request for a day. The server's own window is a minute. After this wait, one call tries again.
const MAX_WAIT: Duration = Duration::from_secs(5 * 60);

#[derive(Deserialize)]
struct Success<T> {
    data: T,
}

#[derive(Deserialize)]
struct Failure {
    error: FailureBody,
}

#[derive(Deserialize)]
struct FailureBody {
    code: String,
    #[serde(default)]
    message: String,
    details: Option<Value>,
}

/// Parses an answer that is a success if it has the status `expected`.
///
/// `secrets` are removed from everything that the server says.
pub(super) fn parse<T: DeserializeOwned>(
    response: &Response<Bytes>,
    expected: StatusCode,
    secrets: &[&str],
) -> Result<T, Error> {
    if response.status() != expected {
        return Err(failure(response, secrets));
    }
    let success: Success<T> = serde_json::from_slice(response.body()).map_err(|error| {
        let kind = if is_json(response) {
            ErrorKind::WrongAnswer
        } else {
            ErrorKind::WrongAddress
        };
        let what = if is_json(response) {
            "an answer that cannot be read"
        } else {
            "something that is not Sipher's JSON"
        };
        // The server has carried the request out, but the result cannot be read.
        Error::new(
            kind,
            format!("got {what}, with status {}", expected.as_u16()),
        )
        .with_answer(Answer {
            status: expected,
            request_id: request_id(response, secrets),
            window: Stamp::of(response.headers()),
            ..Answer::default()
        })
        .with_source(scrub::Scrubbed::new(&error, secrets))
        .with_unknown_outcome()
    })?;
    Ok(success.data)
}

fn failure(response: &Response<Bytes>, secrets: &[&str]) -> Error {
    let status = response.status();
    let body = serde_json::from_slice::<Failure>(response.body())
        .ok()
        .map(|failure| failure.error);
    let code = body.as_ref().map(|body| body.code.as_str());
    let kind = classify(status, code);
    let retry_after = match kind {
        ErrorKind::Quota => until_reset(response, body.as_ref()),
        ErrorKind::RateLimited | ErrorKind::Unavailable => retry_after(response, body.as_ref()),
        _ => None,
    };
    let message = describe(response, kind, body.as_ref(), secrets);
    // A gateway may answer for a server that did carry the call out. The meaning of an unexpected success is unknown
    // too. An error in Sipher's own form certainly means that the call failed.
    let unknown = (body.is_none() && kind == ErrorKind::Unavailable) || status.is_success();
    let answer = Answer {
        status,
        code: body.as_ref().map(|body| scrub::text(&body.code, secrets)),
        details: body
            .and_then(|body| body.details)
            .map(|details| scrub::json(details, secrets)),
        request_id: request_id(response, secrets),
        is_by_application: is_by_application(response.headers()),
        window: Stamp::of(response.headers()),
    };
    let error = Error::new(kind, message).with_answer(answer);
    let error = if unknown {
        error.with_unknown_outcome()
    } else {
        error
    };
    let most = if kind == ErrorKind::Quota {
        MAX_QUOTA
    } else {
        MAX_WAIT
    };
    error.with_retry_after(retry_after.map(|after| after.min(most)))
}

/// Maps a failing answer to its kind. This is the only such table.
fn classify(status: StatusCode, code: Option<&str>) -> ErrorKind {
    match (status.as_u16(), code) {
        (401 | 403, _) => ErrorKind::Credentials,
        (408 | 500..=599, _) => ErrorKind::Unavailable,
        (429, Some("DAILY_QUOTA_EXCEEDED")) => ErrorKind::Quota,
        (429, _) => ErrorKind::RateLimited,
        (404, Some("SESSION_NOT_FOUND")) => ErrorKind::NotFound,
        (100..=199 | 300..=399 | 404, _) => ErrorKind::WrongAddress,
        (400 | 410 | 413 | 415, _) | (_, Some(_)) => ErrorKind::Rejected,
        _ => ErrorKind::WrongAddress,
    }
}

fn describe(
    response: &Response<Bytes>,
    kind: ErrorKind,
    body: Option<&FailureBody>,
    secrets: &[&str],
) -> String {
    let status = response.status().as_u16();
    if let Some(body) = body {
        let mut text = format!(
            "the server answered {status} {}: {}",
            body.code, body.message
        );
        describe_details(&mut text, body.details.as_ref());
        return scrub::text(&text, secrets);
    }
    match kind {
        ErrorKind::WrongAddress => match redirected_to(response) {
            Some(origin) => scrub::text(
                &format!("no Sipher at the base URL: it answered {status} and points to {origin}"),
                secrets,
            ),
            None => {
                format!("no Sipher at the base URL: it answered {status}, not in Sipher's form")
            }
        },
        _ => format!("the server answered {status}, not in Sipher's form"),
    }
}

/// Adds which fields the server rejects, and why. The server's `message` alone is always "Invalid request data".
fn describe_details(text: &mut String, details: Option<&Value>) {
    let complaints = details.and_then(Value::as_array).into_iter().flatten();
    for complaint in complaints.take(5) {
        let path = complaint["path"].as_array().into_iter().flatten();
        let path: Vec<&str> = path.filter_map(Value::as_str).collect();
        if let Some(message) = complaint["message"].as_str() {
            let _ = write!(text, "; {}: {message}", path.join("."));
        }
    }
}

/// Returns only the origin of `Location`. The rest may contain ids and keys.
fn redirected_to(response: &Response<Bytes>) -> Option<String> {
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let location: http::Uri = location.parse().ok()?;
    let port = location.port_u16().map(|port| format!(":{port}"));
    let (scheme, host) = (location.scheme_str()?, location.host()?);
    Some(format!("{scheme}://{host}{}", port.unwrap_or_default()))
}

fn retry_after(response: &Response<Bytes>, body: Option<&FailureBody>) -> Option<Duration> {
    let in_body = || {
        body?.details.as_ref()?["retryAfter"]
            .as_u64()
            .map(Duration::from_secs)
    };
    header_text(response.headers(), header::RETRY_AFTER)
        .and_then(|text| match text.trim().parse().map(Duration::from_secs) {
            Ok(seconds) => Some(seconds),
            Err(_) => since_date(response, httpdate::parse_http_date(text).ok()?),
        })
        .or_else(in_body)
}

fn until_reset(response: &Response<Bytes>, body: Option<&FailureBody>) -> Option<Duration> {
    let reset_at = body?.details.as_ref()?["resetAt"].as_str()?;
    since_date(response, humantime::parse_rfc3339(reset_at).ok()?)
}

/// Returns how long after the answer's own `Date` a moment is. Both times are the server's, so clock skew does not
/// matter.
fn since_date(response: &Response<Bytes>, then: SystemTime) -> Option<Duration> {
    let date = httpdate::parse_http_date(header_text(response.headers(), header::DATE)?).ok()?;
    Some(then.duration_since(date).unwrap_or_default())
}

fn is_json(response: &Response<Bytes>) -> bool {
    header_text(response.headers(), header::CONTENT_TYPE).is_some_and(|media_type| {
        media_type
            .to_ascii_lowercase()
            .starts_with("application/json")
    })
}

fn request_id(response: &Response<Bytes>, secrets: &[&str]) -> Option<String> {
    let id = header_text(
        response.headers(),
        header::HeaderName::from_static("x-request-id"),
    )?;
    Some(scrub::text(id, secrets))
}

fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        let builder = Response::builder().status(status);
        let builder = headers
            .iter()
            .fold(builder, |builder, (k, v)| builder.header(*k, *v));
        builder.body(Bytes::from(body.to_owned())).unwrap()
    }

    fn parsed(response: &Response<Bytes>) -> Error {
        parse::<Value>(response, StatusCode::CREATED, &["sk_pro_1"]).unwrap_err()
    }

    fn sipher(status: u16, headers: &[(&str, &str)], code: &str, details: &Value) -> Error {
        let body =
            json!({"success": false, "error": {"code": code, "message": "m", "details": details}});
        parsed(&response(status, headers, &body.to_string()))
    }

    #[test]
    fn every_failing_answer_is_of_one_kind() {
        use ErrorKind::{
            Credentials, NotFound, Quota, RateLimited, Rejected, Unavailable, WrongAddress,
        };
        for (status, code, kind) in [
            (400, "VALIDATION_ERROR", Rejected),
            (400, "INVALID_JSON", Rejected),
            (401, "UNAUTHORIZED", Credentials),
            (401, "INVALID_API_KEY", Credentials),
            (403, "TIER_ACCESS_DENIED", Credentials),
            (404, "SESSION_NOT_FOUND", NotFound),
            (404, "NOT_FOUND", WrongAddress),
            (408, "REQUEST_TIMEOUT", Unavailable),
            (410, "SESSION_EXPIRED", Rejected),
            (418, "TEAPOT", Rejected),
            (202, "LATER", Rejected),
            (429, "RATE_LIMIT_EXCEEDED", RateLimited),
            (429, "DAILY_QUOTA_EXCEEDED", Quota),
            (429, "SOMETHING_NEW", RateLimited),
            (500, "SESSION_CREATE_FAILED", Unavailable),
            (503, "SERVICE_UNAVAILABLE", Unavailable),
        ] {
            let error = sipher(status, &[], code, &Value::Null);
            assert_eq!(error.kind(), kind, "{status} {code}");
            assert_eq!(error.code(), Some(code));
            assert_eq!(error.status().unwrap().as_u16(), status);
            assert_eq!(error.is_unknown_outcome(), status == 202, "{status} {code}");
        }
        for (status, kind) in [
            (200, WrongAddress),
            (301, WrongAddress),
            (400, Rejected),
            (401, Credentials),
            (404, WrongAddress),
            (405, WrongAddress),
            (429, RateLimited),
            (502, Unavailable),
        ] {
            let error = parsed(&response(status, &[], "<html>"));
            assert_eq!(error.kind(), kind, "{status} in HTML");
            assert_eq!(error.code(), None);
            assert_eq!(
                error.is_unknown_outcome(),
                kind == Unavailable || status == 200,
                "{status} in HTML"
            );
        }
    }

    #[test]
    fn hints_to_wait_are_read_from_header_and_body_and_never_exceed_what_they_are_for() {
        let date = ("date", "Mon, 23 Nov 2026 18:00:00 GMT");
        let seconds = |error: Error| error.retry_after().map(|after| after.as_secs());
        let pace =
            |headers: &[_], details| seconds(sipher(429, headers, "RATE_LIMIT_EXCEEDED", &details));
        assert_eq!(
            pace(&[("retry-after", "60")], json!({"retryAfter": 5})),
            Some(60)
        );
        assert_eq!(pace(&[], json!({"retryAfter": 5})), Some(5));
        assert_eq!(pace(&[], json!({})), None);
        assert_eq!(pace(&[("retry-after", "9999999999")], json!({})), Some(300));
        let at = ("retry-after", "Mon, 23 Nov 2026 18:01:30 GMT");
        assert_eq!(pace(&[date, at], json!({})), Some(90));
        assert_eq!(
            pace(&[("retry-after", "soon")], json!({"retryAfter": 7})),
            Some(7)
        );

        let quota = |headers: &[_], reset: &str| {
            seconds(sipher(
                429,
                headers,
                "DAILY_QUOTA_EXCEEDED",
                &json!({"resetAt": reset}),
            ))
        };
        assert_eq!(quota(&[date], "2026-11-24T00:00:00.000Z"), Some(6 * 3600));
        assert_eq!(quota(&[date], "2036-11-24T00:00:00.000Z"), Some(86_400));
        assert_eq!(quota(&[date], "2016-11-24T00:00:00.000Z"), Some(0));
        assert_eq!(quota(&[], "2026-11-24T00:00:00.000Z"), None);
    }

    #[test]
    fn the_message_says_what_the_server_said_without_secrets() {
        let id = format!("sess_{}", "0a".repeat(32));
        let details = json!([{"path": ["defaults", "chain"], "message": format!("not {id}")}]);
        let error = sipher(
            400,
            &[("x-request-id", "req-7")],
            "VALIDATION_ERROR",
            &details,
        );
        assert_eq!(
            error.to_string(),
            "the server answered 400 VALIDATION_ERROR: m; defaults.chain: not sess_[redacted]"
        );
        assert_eq!(error.request_id(), Some("req-7"));
        assert!(!format!("{error:?}").contains("0a0a"));
        assert!(!format!("{:?}", sipher(400, &[], "sk_pro_1", &Value::Null)).contains("sk_pro_1"));
    }

    #[test]
    fn a_redirect_names_the_origin_it_points_to_and_no_more() {
        let location = "https://login.example/?next=sess_1&key=sk_pro_1";
        assert_eq!(
            parsed(&response(302, &[("location", location)], "")).to_string(),
            "no Sipher at the base URL: it answered 302 and points to https://login.example"
        );
    }

    #[test]
    fn a_201_that_cannot_be_read_may_have_made_a_session() {
        let json = ("content-type", "application/json; charset=utf-8");
        let unreadable = parsed(&response(201, &[json], "{"));
        assert_eq!(unreadable.kind(), ErrorKind::WrongAnswer);
        assert!(unreadable.is_unknown_outcome());
        let html = parsed(&response(201, &[], "<html>"));
        assert_eq!(html.kind(), ErrorKind::WrongAddress);
    }
}
