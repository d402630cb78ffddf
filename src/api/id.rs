//! Session ids, parsed once.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Deserializer, de};

use crate::secret::Fingerprint;

const PREFIX: &str = "sess_";
const LEN: usize = PREFIX.len() + 64;

/// The id of a session: `sess_` and 64 lower-case hexadecimal digits.
///
/// Whoever holds the id and the API key can use the session, so `Debug` and `Display` show a [`Fingerprint`] instead,
/// and the memory is wiped when the last copy goes. The server takes no other form: it ignores an id in upper case without a word.
///
/// ```
/// use sipher_session::api::SessionId;
///
/// let id = SessionId::parse(&format!("sess_{}", "0a".repeat(32))).unwrap();
/// assert_eq!(id.as_str().len(), 69);
/// assert!(!format!("{id} {id:?}").contains("0a0a"));
/// assert!(SessionId::parse("sess_0A").is_none());
/// ```
#[derive(Clone)]
pub struct SessionId(Arc<SecretString>);

impl SessionId {
    /// Parses an id; `None` if it does not have the form of one.
    pub fn parse(id: &str) -> Option<Self> {
        Self::is_one(id).then(|| Self(Arc::new(id.into())))
    }

    /// Whether a text has the form of an id.
    pub(crate) fn is_one(id: &str) -> bool {
        let lower_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        id.len() == LEN
            && id
                .strip_prefix(PREFIX)
                .is_some_and(|digits| digits.bytes().all(lower_hex))
    }

    /// Returns the id itself. Mind where it goes.
    pub fn as_str(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns what may be shown in its place.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.as_str())
    }

    pub(crate) fn to_header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(self.as_str()).expect("a parsed id is ASCII");
        value.set_sensitive(true);
        value
    }
}

impl PartialEq for SessionId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for SessionId {}

impl Hash for SessionId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sess_#{}", self.fingerprint())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId(#{})", self.fingerprint())
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let id = Zeroizing::new(String::deserialize(deserializer)?);
        Self::parse(&id).ok_or_else(|| de::Error::custom("not a session id"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_own_form_is_an_id() {
        let digits = "0123456789abcdef".repeat(4);
        assert!(SessionId::parse(&format!("sess_{digits}")).is_some());
        for bad in [
            String::new(),
            "sess_".into(),
            format!("sess_{}", &digits[1..]),
            format!("sess_{digits}0"),
            format!("sess_{}", digits.to_uppercase()),
            format!("SESS_{digits}"),
            format!("sess_{}\r\n", &digits[2..]),
            format!("sess_{}é", &digits[2..]),
        ] {
            assert!(SessionId::parse(&bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn the_header_is_marked_sensitive() {
        let id = SessionId::parse(&format!("sess_{}", "0".repeat(64))).unwrap();
        assert!(id.to_header().is_sensitive());
    }
}
