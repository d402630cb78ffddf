//! Says in an error's message which session the failure is about.

use super::{Error, ErrorKind};
use crate::{
    api::{SessionDefaults, scrub},
    scope::{BaseUrl, presentable},
    secret::{ApiKey, Fingerprint, ViewingKey},
};

/// The server, the key and the defaults of a session.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) base: &'a BaseUrl,
    pub(crate) key: &'a ApiKey,
    /// `None` if only the key is known.
    pub(crate) defaults: Option<&'a SessionDefaults>,
}

impl About<'_> {
    /// Adds the server, the chain and the key to the message of an error that is about a session or a session call.
    pub(crate) fn say(self, error: Error) -> Error {
        if is_of_session(error.kind()) {
            error.about(self.text())
        } else {
            error
        }
    }

    fn text(self) -> String {
        let key = self.key.expose();
        let base = presentable(&self.base.to_string());
        let chain = self.defaults.and_then(|defaults| defaults.chain.as_ref());
        let chain = chain.map_or(String::new(), |chain| format!(", chain {}", chain.as_str()));
        let text = format!("{base}{chain}, key {}", Fingerprint::of(key));
        // The text is scrubbed below: a chain that this crate does not know may be any text, also a secret.
        let viewing_key = self
            .defaults
            .and_then(|all| all.default_viewing_key.as_ref());
        let viewing_key = viewing_key.map_or("", ViewingKey::expose);
        scrub::text(&text, &[key, viewing_key])
    }
}

/// Returns whether errors of this kind are about a session. The others are about a setting, a request or the process,
/// and their messages say so.
fn is_of_session(kind: ErrorKind) -> bool {
    use ErrorKind::{Config, InvalidRequest, NoApiKey, NoRuntime, Shutdown};
    !matches!(
        kind,
        Config | InvalidRequest | NoApiKey | NoRuntime | Shutdown
    )
}
