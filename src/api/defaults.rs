//! The defaults that a session stores.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Backend, Chain, PrivacyLevel, RpcProvider, scrub};
use crate::{error::Error, secret::ViewingKey};

/// The longest accepted viewing key, in bytes. Real ones are far shorter.
pub(crate) const MAX_KEY: usize = 1024;
/// The longest accepted defaults, in bytes of JSON. An answer that repeats them must be short enough to be read.
const MAX_LENGTH: usize = 16 * 1024;

/// Keys that have a field of their own.
pub(crate) const KNOWN: [&str; 5] = [
    "chain",
    "privacyLevel",
    "rpcProvider",
    "backend",
    "defaultViewingKey",
];

/// Values that the server fills in if a request does not name them.
///
/// # What each does today
///
/// The server's present routes read two of them:
///
/// | default | read by |
/// | --- | --- |
/// | `chain` | `POST /v1/stealth/generate`, `/v1/stealth/generate/batch`, `/v1/stealth/check`, `/v1/backends/compare` |
/// | `backend` | `POST /v1/backends/select` |
/// | `privacy_level`, `rpc_provider`, `default_viewing_key` | no route: they are stored, and returned with the session |
///
/// So a session's chain decides the chain, and the curve, of stealth keys. Transfers take their chain from
/// `recipientMetaAddress`.
///
/// # How they apply
///
/// The server puts a default into a JSON object body that lacks its key, and nowhere else.
///
/// A field that is `None` is left to the server. In the extensions of a request, this type means: send the request with
/// a session that has exactly these defaults.
///
/// # Reading them from JSON
///
/// A name that this version does not know goes into [`other`](Self::other), because a newer server may know it. If the
/// server does not, it drops the name: the create then fails with
/// [`ErrorKind::WrongAnswer`](crate::ErrorKind::WrongAnswer). Without sessions nobody would notice, unless the name is
/// nearly a known one, such as `chian`: that is an error. So read what users write into a
/// [`DefaultsConfig`](crate::config::DefaultsConfig), which refuses unknown names and values, and convert it.
///
/// ```
/// use sipher_session::{Chain, PrivacyLevel, SessionDefaults};
///
/// let defaults = SessionDefaults::new().chain(Chain::Near).privacy_level(PrivacyLevel::Shielded);
/// let json = serde_json::to_string(&defaults)?;
/// assert_eq!(json, r#"{"chain":"near","privacyLevel":"shielded"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SessionDefaults {
    /// The blockchain of stealth keys. Without it, the server uses Solana.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,
    /// How much of a payment is hidden. No route reads it today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privacy_level: Option<PrivacyLevel>,
    /// The provider of access to the chain. No route reads it today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpc_provider: Option<RpcProvider>,
    /// The privacy backend, for calls of `/v1/backends/select` that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
    /// The key that lets an auditor see payments. No route reads it today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_viewing_key: Option<ViewingKey>,
    /// Keys that a newer server knows and this version does not. A misspelt known key, such as `chian`, is an error
    /// when the manager is built, or when the request is sent.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

impl SessionDefaults {
    /// Creates defaults with nothing set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the blockchain.
    #[must_use]
    pub fn chain(mut self, chain: Chain) -> Self {
        self.chain = Some(chain);
        self
    }

    /// Sets how much of a payment is hidden. No route reads it today.
    #[must_use]
    pub fn privacy_level(mut self, level: PrivacyLevel) -> Self {
        self.privacy_level = Some(level);
        self
    }

    /// Sets the provider of access to the chain. No route reads it today.
    #[must_use]
    pub fn rpc_provider(mut self, provider: RpcProvider) -> Self {
        self.rpc_provider = Some(provider);
        self
    }

    /// Sets the privacy backend.
    #[must_use]
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Sets the viewing key: `0x` and hexadecimal digits. No route reads it today.
    #[must_use]
    pub fn default_viewing_key(mut self, key: impl Into<ViewingKey>) -> Self {
        self.default_viewing_key = Some(key.into());
        self
    }

    /// Sets a key that a newer server knows and this version does not.
    #[must_use]
    pub fn other(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.other.insert(key.into(), value.into());
        self
    }

    /// Returns whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns these defaults, overridden key by key by those of `patch`, as the server's PATCH does.
    #[must_use]
    pub fn merged_with(mut self, patch: &SessionDefaults) -> Self {
        fn put<T: Clone>(old: &mut Option<T>, new: Option<&T>) {
            if let Some(new) = new {
                *old = Some(new.clone());
            }
        }
        put(&mut self.chain, patch.chain.as_ref());
        put(&mut self.privacy_level, patch.privacy_level.as_ref());
        put(&mut self.rpc_provider, patch.rpc_provider.as_ref());
        put(&mut self.backend, patch.backend.as_ref());
        put(
            &mut self.default_viewing_key,
            patch.default_viewing_key.as_ref(),
        );
        self.other
            .extend(patch.other.iter().map(|(k, v)| (k.clone(), v.clone())));
        self
    }

    /// Returns a key that is a misspelt known one, and the known one. The server drops keys that it does not know, and
    /// answers 201 and 200 all the same.
    fn misspelt(&self) -> Option<(&str, &'static str)> {
        let like = |key| KNOWN.into_iter().find(|known| is_typo(key, known));
        let mut keys = self.other.keys();
        keys.find_map(|key| Some((key.as_str(), like(key)?)))
    }

    /// Returns whether they contain a secret, whole or in part, where it does not belong.
    pub(super) fn repeat(&self, secrets: &[&str]) -> bool {
        // A shorter text may occur in a name by chance, and is hardly a secret.
        let secrets = secrets.iter().copied();
        let secrets: Vec<_> = secrets.filter(|s| s.len() >= scrub::PIECE).collect();
        let shown = Self {
            default_viewing_key: None,
            ..self.clone()
        };
        serde_json::to_string(&shown).is_ok_and(|shown| scrub::finds(&shown, &secrets))
    }

    /// Refuses what the server is certain to refuse.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) naming the key.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        if let Some(key) = &self.default_viewing_key {
            let length = key.expose().len();
            if length > MAX_KEY {
                return Err(Error::config(format!(
                    "defaults.default_viewing_key: is {length} bytes long; expected at most {MAX_KEY}"
                )));
            }
            if !key.is_well_formed() {
                return Err(Error::config(format!(
                    "defaults.default_viewing_key: is a secret of {} characters that is not shown; \
                     expected `0x` followed by hexadecimal digits",
                    key.expose().chars().count()
                )));
            }
        }
        // JSON with the same key twice: the later value would win.
        if let Some(name) = KNOWN.iter().find(|name| self.other.contains_key(**name)) {
            return Err(Error::config(format!(
                "defaults.other: has `{name}`; expected it in the field of its own"
            )));
        }
        let length = serde_json::to_vec(self).map_or(usize::MAX, |json| json.len());
        if length > MAX_LENGTH {
            return Err(Error::config(format!(
                "defaults: are {length} bytes long as JSON; expected at most {MAX_LENGTH}"
            )));
        }
        if let Some((key, known)) = self.misspelt() {
            let key = scrub::text(key, &[]);
            return Err(Error::config(format!(
                "defaults.other: has `{key}`, which the server would ignore; expected `{known}`"
            )));
        }
        Ok(())
    }
}

/// Returns whether two names differ by their style only, such as `privacy_level` and `privacyLevel`, or by one letter,
/// or by two neighbours that changed places. One letter more at the end is no typo: a newer server may know `chains`.
fn is_typo(name: &str, known: &str) -> bool {
    let letters = |name: &str| -> Vec<char> {
        let letters = name.chars().filter(|char| char.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    let (name, known) = (letters(name), letters(known));
    let common = |(a, b): &(&char, &char)| a == b;
    let start = name.iter().zip(&known).take_while(common).count();
    let (name, known) = (&name[start..], &known[start..]);
    let pairs = name.iter().rev().zip(known.iter().rev());
    let end = pairs.take_while(common).count();
    match (&name[..name.len() - end], &known[..known.len() - end]) {
        ([_], []) if end == 0 => false,
        ([] | [_], [] | [_]) => true,
        ([a, b], [c, d]) => (a, b) == (d, c),
        _ => false,
    }
}

impl fmt::Debug for SessionDefaults {
    /// Shows only the names of keys that this version does not know, because their values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self
            .other
            .keys()
            .map(|name| scrub::text(name, &[]))
            .collect();
        f.debug_struct("SessionDefaults")
            .field("chain", &self.chain)
            .field("privacy_level", &self.privacy_level)
            .field("rpc_provider", &self.rpc_provider)
            .field("backend", &self.backend)
            .field("default_viewing_key", &self.default_viewing_key)
            .field("other", &names)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_of_a_newer_server_are_kept() {
        let answer = json!({"chain": "near", "colour": "red"});
        let defaults: SessionDefaults = serde_json::from_value(answer.clone()).unwrap();
        assert_eq!(defaults.chain, Some(Chain::Near));
        assert_eq!(defaults.other["colour"], "red");
        assert_eq!(serde_json::to_value(&defaults).unwrap(), answer);
    }

    #[test]
    fn a_patch_wins_where_it_speaks_and_only_there() {
        let old = SessionDefaults::new()
            .chain(Chain::Near)
            .privacy_level(PrivacyLevel::Maximum);
        let patched = old.merged_with(&SessionDefaults::new().chain(Chain::Sui));
        assert_eq!(patched.chain, Some(Chain::Sui));
        assert_eq!(patched.privacy_level, Some(PrivacyLevel::Maximum));
    }

    #[test]
    fn a_misspelt_key_is_refused_and_the_right_one_is_named() {
        for (key, known) in [
            ("chian", "chain"),
            ("chan", "chain"),
            ("Chain", "chain"),
            ("cchain", "chain"),
            ("chaim", "chain"),
            ("privacy_level", "privacyLevel"),
            ("RPC-Provider", "rpcProvider"),
            ("default_viewing_key", "defaultViewingKey"),
        ] {
            let defaults: SessionDefaults = serde_json::from_value(json!({key: "near"})).unwrap();
            let error = defaults.validate().unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")), "{error}");
            assert!(error.contains(&format!("expected `{known}`")), "{error}");
        }
    }

    #[test]
    fn a_key_that_is_like_no_known_one_may_be_of_a_newer_server() {
        for key in [
            "colour",
            "chains",
            "chainId",
            "main",
            "backendUrl",
            "level",
            "",
            "__",
        ] {
            let defaults = SessionDefaults::new().other(key, "near");
            assert!(defaults.validate().is_ok(), "{key}");
        }
    }

    #[test]
    fn the_viewing_key_is_not_in_debug() {
        let defaults = SessionDefaults::new().default_viewing_key("0xfeedbeef");
        assert!(!format!("{defaults:?}").contains("feed"));
        assert!(defaults.validate().is_ok());
        let defaults = SessionDefaults::new().other("spendingKey", "0xfeed");
        assert!(
            !format!("{defaults:?}").contains("feed"),
            "nor any of tomorrow"
        );
    }
}
