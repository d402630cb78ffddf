//! The gateway's own answers, in the form of Sipher's errors.

use std::{error::Error as StdError, io, time::Duration};

use http::{HeaderValue, Response, StatusCode, header};
use hyper_util::client::legacy;
use serde_json::json;
use sipher_session::{BoxError, Error, ErrorKind};

use crate::{
    body::{AnswerBody, BodyError},
    upstream::HeadTimeout,
};

/// Why a request gets an answer of the gateway instead of Sipher's. No variant holds a secret.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The request's target does something that is not offered.
    Target(&'static str),
    Host,
    Loop,
    Expectation,
    Token,
    /// The request brought no API key, and the gateway adds none of its own.
    NoKey,
    TooLong(u64),
    SlowBody,
    BrokenBody,
    Unreachable,
    ConnectTimeout,
    Broken,
    HeadTimeout(Duration),
    Session(Error),
}

impl Refusal {
    /// Finds out why a request failed below the gateway.
    pub(crate) fn of(error: &BoxError) -> Self {
        if let Some(error) = Error::find(error) {
            return Self::Session(error.clone());
        }
        let mut is_connect = false;
        let mut next: Option<&(dyn StdError + 'static)> = Some(&**error);
        while let Some(error) = next {
            if let Some(body) = error.downcast_ref::<BodyError>() {
                return match body {
                    BodyError::TooLong(limit) => Self::TooLong(*limit),
                    BodyError::Stalled(_) => Self::SlowBody,
                    BodyError::Broken(_) => Self::BrokenBody,
                    BodyError::AnswerStalled(after) => Self::HeadTimeout(*after),
                };
            }
            if let Some(HeadTimeout(after)) = error.downcast_ref() {
                return Self::HeadTimeout(*after);
            }
            if let Some(client) = error.downcast_ref::<legacy::Error>() {
                is_connect |= client.is_connect();
            }
            let io = error.downcast_ref::<io::Error>();
            if is_connect && io.is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
                return Self::ConnectTimeout;
            }
            next = error.source();
        }
        if is_connect {
            Self::Unreachable
        } else {
            Self::Broken
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Target(_) | Self::Host | Self::BrokenBody => StatusCode::BAD_REQUEST,
            Self::Token | Self::NoKey => StatusCode::UNAUTHORIZED,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::Loop => StatusCode::LOOP_DETECTED,
            Self::Unreachable | Self::Broken => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout | Self::HeadTimeout(_) => StatusCode::GATEWAY_TIMEOUT,
            // Where the caller can help, the status says so. All else is the gateway's trouble.
            Self::Session(error) => match error.kind().suggested_status() {
                status if status.is_client_error() => status,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            },
        }
    }

    /// Returns Sipher's own code if Sipher gave one, else one that begins with `GATEWAY_`.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Target(_) => "GATEWAY_BAD_TARGET",
            Self::Host => "GATEWAY_BAD_HOST",
            Self::Loop => "GATEWAY_LOOP",
            Self::Expectation => "GATEWAY_BAD_EXPECTATION",
            Self::Token => "GATEWAY_TOKEN_REQUIRED",
            Self::NoKey => "UNAUTHORIZED",
            Self::TooLong(_) => "GATEWAY_BODY_TOO_LARGE",
            Self::SlowBody => "GATEWAY_BODY_TIMEOUT",
            Self::BrokenBody => "GATEWAY_BODY_BROKEN",
            Self::Unreachable => "GATEWAY_UPSTREAM_UNREACHABLE",
            Self::Broken => "GATEWAY_UPSTREAM_BROKEN",
            Self::ConnectTimeout | Self::HeadTimeout(_) => "GATEWAY_UPSTREAM_TIMEOUT",
            Self::Session(error) => error.code().unwrap_or(code_of(error.kind())),
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Target(why) => format!("The request's target {why}"),
            Self::Host => "Expected one Host header".to_owned(),
            Self::Loop => {
                "The request has been here before: base_url leads to this gateway".to_owned()
            }
            Self::Expectation => "The only known expectation is 100-continue".to_owned(),
            Self::Token => "Show this gateway's token in X-Gateway-Token, once".to_owned(),
            Self::NoKey => {
                "API key required. Provide via X-API-Key header or Authorization: Bearer <key>"
                    .to_owned()
            }
            Self::TooLong(limit) => BodyError::TooLong(*limit).to_string(),
            Self::SlowBody => "The rest of the body did not arrive in time".to_owned(),
            Self::BrokenBody => "The body broke off, or is malformed".to_owned(),
            Self::Unreachable => "Sipher cannot be reached".to_owned(),
            Self::Broken => "The connection to Sipher broke before its answer".to_owned(),
            Self::ConnectTimeout => "No connection to Sipher could be made in time".to_owned(),
            Self::HeadTimeout(after) => {
                let after = humantime::format_duration(*after);
                format!("Sipher did not answer within {after} (gateway.upstream_timeout)")
            }
            // These messages are made for callers: no key and no session id is in them.
            Self::Session(error) => error.to_string(),
        }
    }

    /// Returns how long the caller should wait, in whole seconds. 503 always says so.
    fn retry_after(&self) -> Option<u64> {
        let Self::Session(error) = self else {
            return None;
        };
        let known = error.retry_after().map(|after| after.as_secs() + 1);
        let is_worth_a_try = self.status() == StatusCode::SERVICE_UNAVAILABLE;
        known.or(is_worth_a_try.then_some(1))
    }

    pub(crate) fn into_answer(self) -> Response<AnswerBody> {
        let retry_after = self.retry_after();
        let mut error = json!({ "code": self.code(), "message": self.message() });
        if let Some(seconds) = retry_after {
            error["details"] = json!({ "retryAfter": seconds });
        }
        let body = json!({ "success": false, "error": error }).to_string();
        let mut answer = Response::new(AnswerBody::own(body));
        *answer.status_mut() = self.status();
        let headers = answer.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        // The rest of the body would be read for nothing, or what follows may not be a request.
        if matches!(
            self,
            Self::TooLong(_) | Self::SlowBody | Self::BrokenBody | Self::Target(_) | Self::Host
        ) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

fn code_of(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NoApiKey => "UNAUTHORIZED",
        ErrorKind::InvalidRequest => "GATEWAY_INVALID_REQUEST",
        ErrorKind::Budget => "GATEWAY_CALL_BUDGET",
        ErrorKind::Shutdown => "GATEWAY_SHUTTING_DOWN",
        _ => "GATEWAY_NO_SESSION",
    }
}

/// The whole answer to a connection above `max_connections`, from which no request is read.
pub(crate) const TOO_MANY: &str = concat!(
    "HTTP/1.1 503 Service Unavailable\r\n",
    "content-type: application/json; charset=utf-8\r\n",
    "retry-after: 1\r\n",
    "connection: close\r\n",
    "\r\n",
    r#"{"success":false,"error":{"code":"GATEWAY_TOO_MANY_CONNECTIONS","message":"#,
    r#""No place for another connection (gateway.max_connections)","details":{"retryAfter":1}}}"#,
);
