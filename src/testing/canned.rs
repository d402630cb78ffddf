//! Answers that a fault sends in place of the server's.

use super::{
    answer::Answer,
    call::{Call, Route},
    fault::What,
    log::Operation,
};

/// Returns the answer that replaces the server's, if the fault is of that kind.
pub(super) fn answer(what: &What, call: &Call) -> Option<Answer> {
    let success = match call.operation() {
        Operation::Create => 201,
        _ => 200,
    };
    Some(match what {
        What::Status(status) => sipher_error(*status, call),
        What::Html(status) => Answer::raw(
            *status,
            "text/html",
            format!("<html><body><h1>{status}</h1></body></html>"),
        ),
        What::Error(status, code) => Answer::error(*status, code, code),
        What::Cloudflare(status) => cloudflare(*status),
        What::ShuttingDown if call.route != Route::Health => sipher_error(503, call),
        What::Answer {
            status,
            headers,
            body,
        } => {
            let answer = Answer::raw(*status, "application/json", body.clone());
            let add = |answer: Answer, (name, value): &(String, String)| answer.header(name, value);
            headers.iter().fold(answer, add)
        }
        What::RateLimited {
            retry_after,
            in_body,
        } => rate_limited(*retry_after, *in_body),
        What::RedirectTo(address) => Answer::raw(307, "text/html", "").header("location", address),
        What::Huge(bytes) => Answer::raw(success, "application/json", vec![b'x'; *bytes]),
        What::Malformed => Answer::raw(success, "application/json", r#"{"success":true,"data":{"#),
        _ => return None,
    })
}

fn sipher_error(status: u16, call: &Call) -> Answer {
    let is_written_before = matches!(status, 502..=504 | 520..=527 | 530);
    let code = match (status, call.operation()) {
        (400, _) => "VALIDATION_ERROR",
        (401, _) => "INVALID_API_KEY",
        (403, _) => "TIER_ACCESS_DENIED",
        (404, Operation::Other | Operation::Create) => "NOT_FOUND",
        (404, _) => "SESSION_NOT_FOUND",
        (408, _) => "REQUEST_TIMEOUT",
        (410, _) => "SESSION_EXPIRED",
        (429, _) => "RATE_LIMIT_EXCEEDED",
        (500, Operation::Create) => "SESSION_CREATE_FAILED",
        (503, _) => "SERVICE_UNAVAILABLE",
        _ => "INTERNAL_SERVER_ERROR",
    };
    // Sipher's messages repeat the session id. Clients must not show it.
    let message = match &call.route {
        Route::Session(id) => format!("{code} for {id}"),
        _ => code.to_owned(),
    };
    let answer = Answer::error(status, code, &message);
    if is_written_before {
        return answer.by_others();
    }
    answer
}

/// Returns Cloudflare's page for this status. None of it comes from the server.
fn cloudflare(status: u16) -> Answer {
    let page = format!(
        "<!DOCTYPE html>\n<html><head><title>sipher | {status}</title></head><body><h1>Error code {status}</h1></body></html>"
    );
    Answer::raw(status, "text/html; charset=UTF-8", page)
        .header("server", "cloudflare")
        .header("cf-ray", "0123456789abcdef-FRA")
}

fn rate_limited(retry_after: Option<u64>, in_body: bool) -> Answer {
    let (code, message) = (
        "RATE_LIMIT_EXCEEDED",
        "Too many requests, please try again later",
    );
    let answer = if in_body {
        let details = serde_json::json!({ "retryAfter": retry_after.unwrap_or(60), "limit": 100 });
        Answer::error_with(429, code, message, &details)
    } else {
        Answer::error(429, code, message)
    };
    match retry_after {
        Some(seconds) => answer.header("retry-after", &seconds.to_string()),
        None => answer,
    }
}
