//! Records everything that the crate shows, and searches it for secrets.

use std::{
    collections::{BTreeSet, HashSet},
    error::Error as StdError,
    fmt::{Debug, Display, Write},
    sync::{Arc, Mutex},
};

use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use sipher_session::{
    BoxError, Error, Event, SessionManager,
    api::{Bytes, Transport},
    testing::{FakeSipher, SessionUse},
};
use tower::{Service, ServiceExt, service_fn};
use tracing::subscriber::DefaultGuard;

use crate::{capture::Capture, support::Call};

/// This many characters in a row count as a part of a secret.
const PIECE: usize = 12;
/// Prefixes of secrets that are not secret themselves.
const PREFIXES: [&str; 5] = ["sess_", "sk_pro_", "sk_free_", "sk_ent_", "0x"];

/// Records everything that is shown on its thread.
pub struct Witness {
    shown: Arc<Mutex<String>>,
    secrets: Arc<Mutex<BTreeSet<String>>>,
    capture: Capture,
    recorder: PrometheusRecorder,
    _logging: DefaultGuard,
}

impl Witness {
    pub fn new() -> Self {
        let (capture, guard) = Capture::start();
        Self {
            shown: Arc::default(),
            secrets: Arc::default(),
            capture,
            recorder: PrometheusBuilder::new().build_recorder(),
            _logging: guard,
        }
    }

    pub fn recorder(&self) -> &PrometheusRecorder {
        &self.recorder
    }

    pub fn logged(&self) -> Vec<crate::capture::Logged> {
        self.capture.logged()
    }

    /// Adds a secret that must not appear anywhere.
    pub fn secret(&self, secret: &str) {
        self.secrets.lock().unwrap().insert(secret.to_owned());
    }

    /// Records a value that the crate shows.
    pub fn note(&self, shown: &dyn Debug) {
        writeln!(self.shown.lock().unwrap(), "{shown:?}\n{shown:#?}").unwrap();
    }

    pub fn note_text(&self, shown: &dyn Display) {
        writeln!(self.shown.lock().unwrap(), "{shown}").unwrap();
    }

    pub fn error(&self, error: &(dyn StdError + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.note_text(&error);
            self.note(&error);
            next = error.source();
        }
        if let Some(error) = Error::find(error) {
            self.note(&(error.code(), error.details(), error.request_id()));
            self.note(&(error.kind(), error.status(), error.retry_after()));
        }
    }

    pub fn outcome<T>(&self, outcome: Result<T, impl Into<BoxError>>) -> Option<T> {
        outcome.map_err(|error| self.error(&*error.into())).ok()
    }

    pub fn manager(&self, manager: &SessionManager) {
        self.note(manager);
        self.note(&(manager.stats(), manager.defaults(), manager.api()));
        self.note_text(&manager.base_url());
    }

    pub fn events(&self, events: &mut sipher_session::Events) -> Vec<Event> {
        self.note(events);
        let told: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
        self.note(&told);
        told
    }

    /// A client or transport below this crate that logs the headers of each request, as many do. The ids in its answers count as secrets.
    pub fn overhear(
        &self,
        sipher: &FakeSipher,
    ) -> impl Service<
        Call,
        Response = Response<Full<Bytes>>,
        Error = BoxError,
        Future: Future<Output = Result<Response<Full<Bytes>>, BoxError>> + Send,
    > + Clone
    + Send
    + use<> {
        let (shown, secrets, sipher) = (self.shown.clone(), self.secrets.clone(), sipher.clone());
        service_fn(move |call: Call| {
            note_headers(&shown, call.headers());
            let (secrets, sipher) = (secrets.clone(), sipher.clone());
            async move {
                let (head, body) = sipher.oneshot(call).await?.into_parts();
                let body = body.collect().await?.to_bytes();
                secrets
                    .lock()
                    .unwrap()
                    .extend(ids(&String::from_utf8_lossy(&body)));
                Ok::<_, BoxError>(Response::from_parts(head, Full::new(body)))
            }
        })
    }

    pub fn transport(&self, sipher: &FakeSipher) -> Transport {
        Transport::new(self.overhear(sipher))
    }

    /// Adds all session ids that the server has created.
    pub fn ids_of(&self, sipher: &FakeSipher) {
        let mut secrets = self.secrets.lock().unwrap();
        for exchange in sipher.log() {
            secrets.extend(ids(&exchange.path));
            if let SessionUse::Live { id, .. } | SessionUse::Dead { id, .. } = exchange.session {
                secrets.insert(id);
            }
        }
    }

    /// Returns everything that was shown.
    pub fn everything(&self) -> String {
        let (logged, metrics) = (self.capture.everything(), self.recorder.handle().render());
        format!("{}{logged}{metrics}", self.shown.lock().unwrap())
    }

    #[track_caller]
    pub fn assert_saw_no_secret(&self) {
        let secrets = self.secrets.lock().unwrap();
        assert!(!secrets.is_empty(), "nothing was looked for");
        assert_no_secret(&self.everything(), &secrets);
    }
}

fn note_headers(shown: &Mutex<String>, headers: &HeaderMap) {
    writeln!(shown.lock().unwrap(), "{headers:?}").unwrap();
}

/// Asserts that a text contains no piece of a secret.
#[track_caller]
pub fn assert_no_secret(text: &str, secrets: &BTreeSet<String>) {
    let mut pieces = HashSet::new();
    for secret in secrets {
        let prefix = PREFIXES.iter().find(|prefix| secret.starts_with(**prefix));
        let secret = &secret.as_bytes()[prefix.map_or(0, |prefix| prefix.len())..];
        assert!(secret.len() >= PIECE, "too short to be looked for");
        pieces.extend(secret.windows(PIECE).map(<[u8]>::to_ascii_lowercase));
    }
    let lower = text.to_ascii_lowercase();
    let mut windows = lower.as_bytes().windows(PIECE).enumerate();
    if let Some((at, _)) = windows.find(|(_, window)| pieces.contains(*window)) {
        let (from, to) = (at.saturating_sub(200), (at + 60).min(text.len()));
        let around = String::from_utf8_lossy(&text.as_bytes()[from..to]);
        panic!("a piece of a secret is in …{around}…");
    }
}

/// Returns every session id in a text.
pub fn ids(text: &str) -> Vec<String> {
    let ids = text
        .match_indices("sess_")
        .filter_map(|(at, _)| text.get(at..at + 69));
    ids.map(str::to_owned).collect()
}

#[test]
#[should_panic(expected = "a piece of a secret is in")]
fn the_witness_would_see_a_piece() {
    let witness = Witness::new();
    witness.secret("sk_pro_0123456789abcdef");
    tracing::trace!(target: "anybody", "KEY=23456789ABCD");
    witness.assert_saw_no_secret();
}
