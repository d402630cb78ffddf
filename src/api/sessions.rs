//! The client of `/v1/sessions`.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri,
    header::{ACCEPT, CONTENT_TYPE},
};
use http_body_util::Full;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    CreateSession, NotSent, Redirected, SessionDefaults, SessionId, SessionRecord, Transport,
    answer,
    change::{Change, Deed, Found, OnChange, OnSend, Ongoing, end},
    deadline::in_time,
    scrub,
};
use crate::{
    error::{About, Error, ErrorKind},
    headers::API_KEY,
    runtime::runtime,
    scope::{BaseUrl, PlainHttp},
    secret::{ApiKey, ViewingKey},
};

/// The default timeout of a call. The server promises 30 s for most calls.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The four operations on sessions, for one API key.
///
/// Every call can fail with the error kinds of a failing server: [`Credentials`](ErrorKind::Credentials),
/// [`RateLimited`](ErrorKind::RateLimited), [`Quota`](ErrorKind::Quota), [`Unavailable`](ErrorKind::Unavailable),
/// [`Timeout`](ErrorKind::Timeout), [`WrongAddress`](ErrorKind::WrongAddress), [`WrongAnswer`](ErrorKind::WrongAnswer),
/// [`Rejected`](ErrorKind::Rejected).
///
/// # Cancel safety
///
/// The server may or may not carry out a call that is dropped. A dropped create may leave a session that no client
/// knows, until it expires.
#[derive(Clone)]
pub struct SessionsApi {
    inner: Arc<Inner>,
    timeout: Duration,
}

struct Inner {
    transport: Transport,
    base: BaseUrl,
    /// Without a key, every call fails before it is sent.
    key: Option<(ApiKey, HeaderValue)>,
    on_change: Option<OnChange>,
    on_send: Option<OnSend>,
    /// The viewing key of the manager's sessions, which an answer might repeat.
    viewing_key: Option<ViewingKey>,
}

impl SessionsApi {
    /// Creates a client for the server at `base_url`, with an API key.
    ///
    /// The URL must be https, except for loopback. If http is safe for you, use a manager that
    /// [allows](crate::SessionManagerBuilder::allow_plain_http) it and the client that it
    /// [returns](crate::SessionManager::api).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if `base_url` or the key is malformed.
    pub fn new(
        transport: impl Into<Transport>,
        base_url: &str,
        api_key: impl Into<ApiKey>,
    ) -> Result<Self, Error> {
        let key = api_key.into();
        let header = key.to_header()?;
        Ok(Self::with(
            transport.into(),
            BaseUrl::parse(base_url, PlainHttp::OnLoopback)?,
            Some((key, header)),
            None,
        ))
    }

    /// Sets how long one call may take, from its start to the end of the answer. Defaults to 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Creates a session.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Rejected`] if the server does not take the defaults or the TTL. Also the kinds of
    /// [every call](Self).
    pub async fn create_session(&self, request: &CreateSession) -> Result<SessionRecord, Error> {
        let (record, _) = self.create_with_head(request).await?;
        Ok(record)
    }

    /// Like `create_session`, and also returns the headers of the answer.
    pub(crate) async fn create_with_head(
        &self,
        request: &CreateSession,
    ) -> Result<(SessionRecord, HeaderMap), Error> {
        let call = self.request(Method::POST, "/v1/sessions", Some(request))?;
        let secret = request.viewing_key().map(ViewingKey::expose);
        let answer = self.session(call, StatusCode::CREATED, secret.as_slice());
        let (record, head) = answer.await?;
        self.tell(&record.id, Change::Created(record.life_left()));
        Ok((record, head))
    }

    /// Fetches a session. The server counts this as a use of the session, and against the key's daily quota.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is none with this id and key, and the kinds of [every call](Self).
    pub async fn get_session(&self, id: &SessionId) -> Result<SessionRecord, Error> {
        let (record, _) = self.get_with_head(id).await?;
        Ok(record)
    }

    /// Like `get_session`, and also returns the headers of the answer.
    pub(crate) async fn get_with_head(
        &self,
        id: &SessionId,
    ) -> Result<(SessionRecord, HeaderMap), Error> {
        let call = self.request::<()>(Method::GET, &path(id), None)?;
        let ongoing = self.tell(id, Change::Begins(Deed::Ask, self.timeout));
        let outcome = self.session(call, StatusCode::OK, &[id.as_str()]).await;
        end(ongoing, outcome, |(record, _)| {
            Found::Lives(record.life_left())
        })
    }

    /// Overrides the defaults of a session with `defaults`, key by key. This cannot remove a default, and does not
    /// prolong the session's life.
    ///
    /// If the call fails, or if several servers share the sessions, it is not certain which defaults apply. So a
    /// manager that holds this session replaces it before the call is made.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is none with this id and key, [`ErrorKind::Rejected`] if the server does not
    /// take the defaults, and the kinds of [every call](Self).
    pub async fn update_session(
        &self,
        id: &SessionId,
        defaults: &SessionDefaults,
    ) -> Result<SessionRecord, Error> {
        #[derive(Serialize)]
        struct Update<'a> {
            defaults: &'a SessionDefaults,
        }
        let call = self.request(Method::PATCH, &path(id), Some(&Update { defaults }))?;
        let ongoing = self.tell(id, Change::Begins(Deed::Change, self.timeout));
        let secret = defaults.default_viewing_key.as_ref();
        let secret = secret.map_or("", ViewingKey::expose);
        let secrets = [id.as_str(), secret];
        let outcome = self.session(call, StatusCode::OK, &secrets).await;
        let found = |(record, _): &(SessionRecord, _)| Found::Lives(record.life_left());
        end(ongoing, outcome, found).map(|(record, _)| record)
    }

    /// Deletes a session. A manager that holds it stops using it before the call is made.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is none with this id and key, and the kinds of [every call](Self).
    pub async fn delete_session(&self, id: &SessionId) -> Result<(), Error> {
        self.delete_with_head(id).await.map(drop)
    }

    /// Like `delete_session`, and also returns the headers of the answer.
    pub(crate) async fn delete_with_head(&self, id: &SessionId) -> Result<HeaderMap, Error> {
        #[derive(Deserialize)]
        struct Deleted {}
        let call = self.request::<()>(Method::DELETE, &path(id), None)?;
        let ongoing = self.tell(id, Change::Begins(Deed::Delete, self.timeout));
        let outcome = self.send(call, StatusCode::OK, &[id.as_str()]).await;
        end(ongoing, outcome, |_| Found::Deleted).map(|(Deleted {}, head)| head)
    }

    pub(crate) fn with(
        transport: Transport,
        base: BaseUrl,
        key: Option<(ApiKey, HeaderValue)>,
        on_change: Option<OnChange>,
    ) -> Self {
        let inner = Inner {
            transport,
            base,
            key,
            on_change,
            on_send: None,
            viewing_key: None,
        };
        Self {
            inner: Arc::new(inner),
            timeout: TIMEOUT,
        }
    }

    /// Sets a viewing key that is removed from the server's texts, besides the secrets of each call.
    pub(crate) fn hiding(mut self, viewing_key: Option<ViewingKey>) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.viewing_key = viewing_key;
        }
        self
    }

    /// Sets a callback that examines the head of every answer.
    pub(crate) fn watched(mut self, on_send: OnSend) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.on_send = Some(on_send);
        }
        self
    }

    fn tell(&self, id: &SessionId, change: Change) -> Option<Ongoing> {
        let on_change = self.inner.on_change.as_ref()?;
        on_change(id, change)
    }

    pub(super) fn request<T: Serialize>(
        &self,
        method: Method,
        path: &str,
        body: Option<&T>,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let Some((_, key)) = &self.inner.key else {
            return Err(Error::new(ErrorKind::NoApiKey, "no API key is configured"));
        };
        let uri: Uri = self.inner.base.join(path)?;
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(ACCEPT, "application/json")
            .header(API_KEY, key);
        let body = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                serde_json::to_vec(body)
                    .map_err(|_| Error::config("defaults: cannot be written as JSON"))?
            }
            None => Vec::new(),
        };
        request
            .body(Full::from(body))
            .map_err(|_| Error::config("base_url: cannot be put in a request"))
    }

    /// Returns the secrets that must not occur in any text from a call. `of_call` are the secrets of the call itself.
    fn secrets<'a>(&'a self, of_call: &[&'a str]) -> Vec<&'a str> {
        let key = self.inner.key.as_ref().map(|(key, _)| key.expose());
        let viewing_key = self.inner.viewing_key.as_ref().map(ViewingKey::expose);
        of_call
            .iter()
            .copied()
            .chain(key)
            .chain(viewing_key)
            .collect()
    }

    /// Sends a call that is answered with a session. Users may log the session's defaults, so the call fails if they
    /// repeat a secret.
    async fn session(
        &self,
        request: Request<Full<Bytes>>,
        expected: StatusCode,
        of_call: &[&str],
    ) -> Result<(SessionRecord, HeaderMap), Error> {
        let (record, head): (SessionRecord, _) = self.send(request, expected, of_call).await?;
        let mut secrets = self.secrets(of_call);
        secrets.push(record.id.as_str());
        if record.defaults.repeat(&secrets) {
            let text = "got a session whose defaults repeat a session id or a key";
            return Err(Error::new(ErrorKind::WrongAnswer, text).with_unknown_outcome());
        }
        Ok((record, head))
    }

    /// Adds the vendor's other host name to an error of a wrong address. The vendor has moved its API between its two
    /// names.
    fn with_other_address(&self, error: Error) -> Error {
        match self.inner.base.vendors_other_name() {
            Some(other) if error.kind() == ErrorKind::WrongAddress => error.with_hint(format!(
                "the vendor's other name for it is {other}: try that as `base_url`"
            )),
            _ => error,
        }
    }

    /// Adds to a message which server and which key it is about.
    fn name(&self, error: Error) -> Error {
        match &self.inner.key {
            Some((key, _)) => About {
                base: &self.inner.base,
                key,
                defaults: None,
            }
            .say(error),
            None => error,
        }
    }

    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        request: Request<Full<Bytes>>,
        expected: StatusCode,
        of_call: &[&str],
    ) -> Result<(T, HeaderMap), Error> {
        let answer = self.exchange(request, expected, of_call).await;
        answer.map_err(|error| self.name(error))
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        request: Request<Full<Bytes>>,
        expected: StatusCode,
        of_call: &[&str],
    ) -> Result<(T, HeaderMap), Error> {
        runtime()?;
        let secrets = self.secrets(of_call);
        let on_answer = self.inner.on_send.as_ref().and_then(|on_send| on_send());
        let exchange = self.inner.transport.send(request);
        match in_time(self.timeout, exchange).await {
            Ok(Ok(response)) => {
                if let Some(on_answer) = on_answer {
                    on_answer(response.headers());
                }
                let value = answer::parse(&response, expected, &secrets)
                    .map_err(|error| self.with_other_address(error))?;
                Ok((value, response.into_parts().0.headers))
            }
            Ok(Err(error)) if error.is::<Redirected>() => {
                let text = scrub::text(
                    &format!("{error}; expected one that follows none"),
                    &secrets,
                );
                let error = Error::new(ErrorKind::WrongAddress, text).with_unknown_outcome();
                Err(self.with_other_address(error))
            }
            Ok(Err(error)) => {
                let sent = !NotSent::is_cause_of(&*error);
                let error = Error::new(ErrorKind::Unavailable, "could not reach the server")
                    .with_source(scrub::Scrubbed::new(&*error, &secrets));
                Err(if sent {
                    error.with_unknown_outcome()
                } else {
                    error
                })
            }
            Err(_) => {
                let text = format!("the server did not answer within {:?}", self.timeout);
                Err(Error::new(ErrorKind::Timeout, text).with_unknown_outcome())
            }
        }
    }
}

impl fmt::Debug for SessionsApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsApi")
            .field("base_url", &self.inner.base)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn path(id: &SessionId) -> String {
    format!("/v1/sessions/{}", id.as_str())
}
