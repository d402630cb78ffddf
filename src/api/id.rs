//! Session ids, parsed once.

use std::{fmt, str};

use http::HeaderValue;
use secrecy::zeroize::Zeroize;
use serde::{Deserialize, Deserializer, de};

use crate::secret::Fingerprint;

const PREFIX: &str = "sess_";
const LEN: usize = PREFIX.len() + 64;

/// The id of a session: `sess_` and 64 lower-case hexadecimal digits.
///
/// Whoever holds the id and the API key can use the session, so `Debug` and `Display` show a [`Fingerprint`] instead,
/// and the memory is wiped on drop. The server takes no other form: it ignores an id in upper case without a word.
///
/// ```
/// use sipher_session::api::SessionId;
///
/// let id = SessionId::parse(&format!("sess_{}", "0a".repeat(32))).unwrap();
/// assert_eq!(id.as_str().len(), 69);
/// assert!(!format!("{id} {id:?}").contains("0a0a"));
/// assert!(SessionId::parse("sess_0A").is_none());
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId([u8; LEN]);

impl SessionId {
    /// Parses an id; `None` if it does not have the form of one.
    pub fn parse(id: &str) -> Option<Self> {
        let bytes: [u8; LEN] = id.as_bytes().try_into().ok()?;
        let digits = bytes.strip_prefix(PREFIX.as_bytes())?;
        let lower_hex = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        digits.iter().all(lower_hex).then_some(Self(bytes))
    }

    /// Returns the id itself. Mind where it goes.
    #[allow(clippy::missing_panics_doc)] // it never does
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("a parsed id is ASCII")
    }

    /// Returns what may be shown in its place.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.as_str())
    }

    pub(crate) fn to_header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_bytes(&self.0).expect("a parsed id is ASCII");
        value.set_sensitive(true);
        value
    }
}

impl Drop for SessionId {
    fn drop(&mut self) {
        self.0.zeroize();
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
        let id = String::deserialize(deserializer)?;
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
