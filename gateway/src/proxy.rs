//! The path of one request through the gateway.

use std::time::Instant;

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, Version, header, request::Parts,
};
use hyper::body::Incoming;
use sipher_session::{
    InlineDefaultsLayer, SessionLayer, SessionManager, SessionService,
    inline::InlineDefaultsService,
};
use tower::{Layer, ServiceExt};

use crate::{
    GatewayError, Limits, Token, Upstream,
    activity::InFlight,
    answer::Refusal,
    body::{AnswerBody, Progress, RequestBody},
    credentials::CameWith,
    forwarded, hop, proof, target, token,
    upstream::NotSent,
};

const SESSION_ID: HeaderName = HeaderName::from_static("x-session-id");

/// Passes requests on to Sipher, through the session layers. They make all decisions about sessions.
#[derive(Debug)]
pub(crate) struct Proxy {
    stack: SessionService<InlineDefaultsService<Upstream>>,
    upstream: target::Upstream,
    token: Option<Token>,
    adds_key: bool,
    limits: Limits,
}

impl Proxy {
    pub(crate) fn new(
        sessions: &SessionManager,
        client: Upstream,
        token: Option<Token>,
        adds_key: bool,
        limits: Limits,
    ) -> Result<Self, GatewayError> {
        let upstream = target::Upstream::of(&sessions.base_url())?;
        // Without inline defaults, the lower layer passes everything on untouched.
        let stack = InlineDefaultsLayer::new(sessions.clone()).layer(client);
        let stack = SessionLayer::new(sessions.clone())
            .with_proof()
            .layer(stack);
        Ok(Self {
            stack,
            upstream,
            token,
            adds_key,
            limits,
        })
    }

    /// Answers one request. It never fails: what goes wrong is an answer too.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        in_flight: InFlight,
    ) -> Response<AnswerBody> {
        let begun = Instant::now();
        let (mut head, body) = request.into_parts();
        let (method, version) = (head.method.clone(), head.version);
        let closes = version == Version::HTTP_11 && is_chunked(&head.headers);
        let outcome = match self.prepare(&mut head) {
            Ok(()) => self.send(head, body).await,
            Err(refusal) => Err(refusal),
        };
        let mut answer = outcome.unwrap_or_else(|refusal| {
            // No path and no header: ids and keys may be in them.
            let (status, code) = (refusal.status().as_u16(), refusal.code());
            tracing::warn!(%method, status, code, "a request was not answered by Sipher");
            metrics::counter!("sipher_gateway_refused_total", "code" => code.to_owned())
                .increment(1);
            refusal.into_answer()
        });
        if closes {
            // RFC 9112, section 6.1: hyper drops a `Content-Length` beside it without a word. If a proxy in front
            // believed that length, what follows on the connection would be another caller's request.
            answer
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if version == Version::HTTP_2 {
            answer.headers_mut().remove(header::CONNECTION);
        }
        let status = answer.status().as_u16();
        tracing::debug!(%method, status, took = ?begun.elapsed(), "answered");
        metrics::counter!("sipher_gateway_requests_total", "status" => status.to_string())
            .increment(1);
        metrics::histogram!("sipher_gateway_request_seconds").record(begun.elapsed());
        answer.body_mut().in_flight = Some(in_flight);
        answer
    }

    /// Makes the head of the request that is sent, or refuses it.
    fn prepare(&self, head: &mut Parts) -> Result<(), Refusal> {
        let uri = self.upstream.target(head)?;
        if forwarded::came_here_before(&head.headers) {
            return Err(Refusal::Loop);
        }
        let takes_trailers = hop::takes_trailers(&head.headers);
        hop::strip(&mut head.headers);
        if let Some(token) = &self.token
            && !token.is_shown_in(&head.headers)
        {
            return Err(Refusal::Token);
        }
        head.headers.remove(token::HEADER);
        self.check_body(&mut head.headers)?;
        forwarded::strip(&mut head.headers);
        forwarded::add_via(&mut head.headers, head.version);
        join_cookies(&mut head.headers);
        if takes_trailers {
            hop::take_trailers(&mut head.headers);
        }
        // The client puts in the host of the address.
        head.headers.remove(header::HOST);
        head.uri = uri;
        head.version = Version::HTTP_11;
        if !self.adds_key {
            head.extensions.insert(CameWith::of(&head.headers));
        }
        Ok(())
    }

    /// Refuses a body that is certainly too long, before anything of it is read.
    fn check_body(&self, headers: &mut HeaderMap) -> Result<(), Refusal> {
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.limits.max_body_bytes) {
            return Err(Refusal::TooLong(self.limits.max_body_bytes));
        }
        // hyper answers 100 as soon as the body is read, which is after the session was found. Sipher is not asked.
        match headers.remove(header::EXPECT) {
            Some(value) if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
                Err(Refusal::Expectation)
            }
            _ => Ok(()),
        }
    }

    async fn send(&self, mut head: Parts, body: Incoming) -> Result<Response<AnswerBody>, Refusal> {
        let progress = Progress::new();
        head.extensions.insert(progress.clone());
        let Limits {
            max_body_bytes,
            idle_timeout,
            ..
        } = self.limits;
        let body = RequestBody::new(body, max_body_bytes, idle_timeout, progress);
        let request = Request::from_parts(head, body);
        let answer = self.stack.clone().oneshot(request).await;
        let mut answer = answer.map_err(|error| {
            let cause: &dyn std::error::Error = &*error;
            tracing::debug!(cause, "not answered");
            Refusal::of(&error)
        })?;
        if answer.extensions().get::<NotSent>().is_some() {
            return Ok(answer);
        }
        if answer.status().is_informational() {
            // No upgrade was asked for.
            return Err(Refusal::Broken);
        }
        let proof = proof::value(answer.extensions());
        let received = answer.version();
        let headers = answer.headers_mut();
        hop::strip(headers);
        // The id is the gateway's secret. Sipher does not send it in a header today.
        headers.remove(SESSION_ID);
        headers.insert(proof::HEADER, proof);
        forwarded::add_via(headers, received);
        *answer.version_mut() = Version::HTTP_11;
        answer.extensions_mut().clear();
        Ok(answer)
    }
}

fn is_chunked(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
}

/// HTTP/2 may split cookies, and HTTP/1.1 may not (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> = headers.get_all(header::COOKIE).into_iter().collect();
    if cookies.len() < 2 {
        return;
    }
    let cookies: Vec<_> = cookies.into_iter().map(HeaderValue::as_bytes).collect();
    if let Ok(cookies) = HeaderValue::from_bytes(&cookies.join(&b"; "[..])) {
        headers.insert(header::COOKIE, cookies);
    }
}
