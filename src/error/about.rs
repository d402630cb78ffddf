//! Whose session a failure is about, for its message.

use super::{Error, ErrorKind};
use crate::{
    api::{SessionDefaults, scrub},
    scope::{BaseUrl, presentable},
    secret::{ApiKey, Fingerprint, ViewingKey},
};

/// The server, and what the session is of.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) base: &'a BaseUrl,
    pub(crate) key: &'a ApiKey,
    /// Unless only the key is known.
    pub(crate) defaults: Option<&'a SessionDefaults>,
}

impl About<'_> {
    /// Puts it into the message, where the failure is one of a session or of a session call.
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
        // A chain that nobody knows may be anything.
        let viewing_key = self
            .defaults
            .and_then(|all| all.default_viewing_key.as_ref());
        let viewing_key = viewing_key.map_or("", ViewingKey::expose);
        scrub::text(&text, &[key, viewing_key])
    }
}

/// Others are about a setting, a request or the process, and say so.
fn is_of_session(kind: ErrorKind) -> bool {
    use ErrorKind::{Config, InvalidRequest, NoApiKey, NoRuntime, Shutdown};
    !matches!(
        kind,
        Config | InvalidRequest | NoApiKey | NoRuntime | Shutdown
    )
}
