//! A request that every kind of client can send.

use bytes::Bytes;
use http::{Extensions, Request};
use http_body_util::Full;
use sipher_session::{NoSession, SessionDefaults};

pub(crate) type Call = Request<Full<Bytes>>;

#[derive(Clone, Default)]
pub(crate) struct Spec {
    method: &'static str,
    pub(crate) path: String,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
    pub(crate) elsewhere: bool,
    defaults: Option<SessionDefaults>,
    no_session: bool,
}

impl Spec {
    /// A call that does not name a chain.
    pub(crate) fn generate() -> Self {
        Self {
            method: "POST",
            path: "/v1/stealth/generate".to_owned(),
            body: "{}",
            ..Self::default()
        }
    }

    pub(crate) fn call(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            ..Self::get(path)
        }
    }

    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: "GET",
            path: path.into(),
            ..Self::default()
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn path(self, path: &str) -> Self {
        let path = path.to_owned();
        Self { path, ..self }
    }

    pub(crate) fn body(self, body: &'static str) -> Self {
        Self { body, ..self }
    }

    /// Sends the request to the other server.
    pub(crate) fn elsewhere(self) -> Self {
        let elsewhere = true;
        Self { elsewhere, ..self }
    }

    /// Sets defaults for this request. Only for worlds whose requests carry extensions.
    pub(crate) fn defaults(self, defaults: SessionDefaults) -> Self {
        let defaults = Some(defaults);
        Self { defaults, ..self }
    }

    /// Asks for no session. Only for worlds whose requests carry extensions.
    pub(crate) fn no_session(self) -> Self {
        let no_session = true;
        Self { no_session, ..self }
    }

    pub(crate) fn has_extensions(&self) -> bool {
        self.no_session || self.defaults.is_some()
    }

    pub(crate) fn build(self, origin: &str) -> Call {
        let uri = format!("{origin}{}", self.path);
        let mut request = Request::builder().method(self.method).uri(uri);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if let Some(defaults) = self.defaults {
            request = request.extension(defaults);
        }
        if self.no_session {
            request = request.extension(NoSession);
        }
        let request = request.header("content-type", "application/json");
        request.body(Full::from(self.body)).unwrap()
    }
}

/// Returns the same call for `reqwest`, and its extensions, which are passed separately.
pub(crate) fn for_reqwest(call: Call) -> (reqwest::Request, Extensions) {
    let (mut head, body) = call.into_parts();
    let extensions = std::mem::take(&mut head.extensions);
    let call = Request::from_parts(head, reqwest::Body::wrap(body));
    (call.try_into().unwrap(), extensions)
}
