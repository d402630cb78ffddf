//! Answers in Sipher's two forms: with `data`, or with an `error` that has a code.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

/// An answer of the server. A fault may still change how its body is sent.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    /// The chain that a stealth call used, for the log.
    pub(super) chain: Option<String>,
    /// Whether Sipher's application wrote the answer. `false` if a gateway in front of it did.
    pub(super) is_siphers: bool,
    /// How long the server took for the answer.
    pub(super) pause: Duration,
}

impl Answer {
    pub(super) fn raw(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let content_type = HeaderValue::from_static(content_type);
        Self {
            status: StatusCode::from_u16(status).expect("a status from 100 to 999"),
            headers: vec![(header::CONTENT_TYPE, content_type)],
            body: body.into(),
            chain: None,
            is_siphers: false,
            pause: Duration::ZERO,
        }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        let answer = Self::raw(status, "application/json; charset=utf-8", body.to_string());
        Self {
            is_siphers: true,
            ..answer
        }
    }

    pub(super) fn data(status: u16, data: &Value) -> Self {
        Self::json(status, &json!({ "success": true, "data": data }))
    }

    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        let error = json!({ "code": code, "message": message });
        Self::json(status, &json!({ "success": false, "error": error }))
    }

    pub(super) fn error_with(status: u16, code: &str, message: &str, details: &Value) -> Self {
        let error = json!({ "code": code, "message": message, "details": details });
        Self::json(status, &json!({ "success": false, "error": error }))
    }

    /// Marks the answer as one without the application's own headers: a gateway wrote it, or the application before it
    /// adds its headers.
    pub(super) fn by_others(self) -> Self {
        Self {
            is_siphers: false,
            ..self
        }
    }

    pub(super) fn late(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Adds a header. Replaces an earlier one of the same name.
    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
        let value = HeaderValue::from_str(value).expect("a header value");
        self.headers.push((name, value));
        self
    }

    /// Adds a header, unless the answer already has one of that name.
    pub(super) fn default_header(self, name: &str, value: &str) -> Self {
        if self.headers.iter().any(|(there, _)| there == name) {
            return self;
        }
        self.header(name, value)
    }

    pub(super) fn without_body(self) -> Self {
        let body = Bytes::new();
        Self { body, ..self }
    }

    pub(super) fn into_response<B>(self, body: impl FnOnce(Bytes) -> B) -> Response<B> {
        let mut response = Response::new(body(self.body));
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
