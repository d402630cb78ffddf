//! Calls `GET /v1/health`, which says when the server's process started. The call needs no key and counts against no
//! limit.

use std::time::Duration;

use bytes::Bytes;
use http::{
    Method, Request, Response, StatusCode,
    header::{ACCEPT, AGE},
};
use http_body_util::Full;
use serde::Deserialize;

use super::{Redirected, Transport, deadline::in_time};
use crate::{
    error::{BoxError, Error},
    scope::BaseUrl,
};

/// The longest wait for an answer: the server calls Solana each time, which may hang. If requests wait for less than
/// twice this time, half of their wait is used instead. The other half is left for the session call that follows.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Calls `GET /v1/health`. `number` makes the URL unique, so that no cache has the answer. `patience` is how long
/// requests wait for this call and the next one. The error in the result says why the server cannot be reached.
///
/// # Errors
///
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if the base URL and the path do not form a valid URI.
pub(crate) async fn health(
    transport: &Transport,
    base: &BaseUrl,
    number: u64,
    patience: Duration,
) -> Result<(Word, Option<BoxError>), Error> {
    let uri = base.join(&format!("/v1/health?_={number}"))?;
    let request = Request::builder()
        .method(Method::GET)
        .uri(uri)
        .header(ACCEPT, "application/json")
        .body(Full::<Bytes>::default())
        .map_err(|_| Error::config("base_url: cannot be put in a request"))?;
    let Ok(answer) = in_time(TIMEOUT.min(patience / 2), transport.send(request)).await else {
        return Ok((Word::Silent, None));
    };
    let response = match answer {
        Ok(response) => response,
        Err(error) if error.is::<Redirected>() => return Ok((Word::Silent, None)),
        Err(error) => return Ok((Word::Away, Some(error))),
    };
    Ok(match Health::read(&response) {
        Some(health) => (Word::Says(health), None),
        None if is_unreached(response.status()) => {
            let why = format!("a gateway answered {}", response.status());
            (Word::Away, Some(why.into()))
        }
        // Example: a 503 in HTML. If Solana cannot be reached, health sends a 503, and a gateway may have replaced it.
        None => (Word::Silent, None),
    })
}

/// The outcome of a health call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Says(Health),
    /// There is an answer, but it does not say when the process started. Or there is no answer in time.
    Silent,
    /// The server cannot be reached.
    Away,
}

/// A process of Sipher's server, as it describes itself. All times are by the server's clock, since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    /// When the process began, as far as the answer says. The true start is up to 1 s earlier.
    pub(crate) boot: Duration,
    pub(crate) timestamp: Duration,
    /// Whether sessions are in a store that outlives the process.
    pub(crate) keeps_sessions: bool,
}

#[derive(Deserialize)]
struct Body {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    status: Option<String>,
    timestamp: String,
    uptime: f64,
    redis: Option<Redis>,
}

#[derive(Deserialize)]
struct Redis {
    connected: bool,
}

impl Health {
    /// Reads an answer. Returns `None` if the answer is not Sipher's own, comes from a cache, or comes from a process
    /// that is shutting down.
    pub(crate) fn read(response: &Response<Bytes>) -> Option<Self> {
        if response.headers().contains_key(AGE) {
            return None;
        }
        let Body { data } = serde_json::from_slice(response.body()).ok()?;
        if data.status.as_deref() == Some("shutting_down") {
            return None;
        }
        let timestamp = humantime::parse_rfc3339(&data.timestamp).ok()?;
        let timestamp = timestamp.duration_since(std::time::UNIX_EPOCH).ok()?;
        let uptime = Duration::try_from_secs_f64(data.uptime.floor()).ok()?;
        Some(Self {
            boot: timestamp.checked_sub(uptime)?,
            timestamp,
            // If the server does not say whether it uses Redis, its sessions may have survived a restart.
            keeps_sessions: data.redis.is_none_or(|redis| redis.connected),
        })
    }
}

/// Returns whether this status means that a gateway cannot reach the server. 503 does not, since it may be the server's
/// own.
pub(crate) fn is_unreached(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502 | 504 | 520..=527 | 530)
}

#[cfg(test)]
mod tests {
    use http::Response;
    use tower::service_fn;

    use super::*;
    use crate::{BoxError, scope::PlainHttp};

    #[tokio::test]
    async fn a_redirect_that_the_client_followed_says_nothing() {
        let answers: [(fn() -> BoxError, Word); 2] = [
            (|| Redirected::to(None).into(), Word::Silent),
            (|| "no connection".into(), Word::Away),
        ];
        for (error, expected) in answers {
            let fails = service_fn(move |_: Request<Full<Bytes>>| async move {
                Err::<Response<Full<Bytes>>, _>(error())
            });
            let base = BaseUrl::parse("https://sipher.example", PlainHttp::OnLoopback).unwrap();
            let word = health(&Transport::new(fails), &base, 1, 2 * TIMEOUT).await;
            assert_eq!(word.unwrap().0, expected);
        }
    }
}
