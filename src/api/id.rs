//! Session ids, parsed once.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretBox, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Deserializer, de};

use crate::secret::Fingerprint;

const PREFIX: &str = "sess_";
const DIGITS: usize = 64;

/// The id of a session: `sess_` and 64 lower-case hexadecimal digits.
///
/// Anyone with the id and the API key can use the session. So `Debug` and `Display` show a [`Fingerprint`] instead, and
/// the memory is wiped when the last copy is dropped. The server accepts no other form: it ignores an id in upper case
/// without an error.
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
    pub(crate) const LEN: usize = PREFIX.len() + DIGITS;

    /// Parses an id. Returns `None` if the text does not have the form of one.
    pub fn parse(id: &str) -> Option<Self> {
        Self::is_one(id).then(|| Self(Arc::new(id.into())))
    }

    /// Returns whether a text has the form of an id.
    pub(crate) fn is_one(id: &str) -> bool {
        let lower_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        id.len() == Self::LEN
            && id
                .strip_prefix(PREFIX)
                .is_some_and(|digits| digits.bytes().all(lower_hex))
    }

    /// Returns the id itself. It is a secret: do not log it.
    pub fn as_str(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns the fingerprint, which may be shown in place of the id.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.as_str())
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

/// The compact form of an id, for a session that is kept: the digits as bytes, wiped on drop. As text it would take
/// three times the memory.
pub(crate) struct KeptId(SecretBox<[u8; DIGITS / 2]>);

impl KeptId {
    pub(crate) fn to_id(&self) -> SessionId {
        self.with_text(|text| SessionId(Arc::new(text.into())))
    }

    pub(crate) fn to_header(&self) -> HeaderValue {
        let mut value = self
            .with_text(HeaderValue::from_str)
            .expect("an id is ASCII");
        value.set_sensitive(true);
        value
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.with_text(Fingerprint::of)
    }

    pub(crate) fn with_text<T>(&self, use_it: impl FnOnce(&str) -> T) -> T {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = Zeroizing::new([0; SessionId::LEN]);
        let (prefix, digits) = text.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX.as_bytes());
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0.expose_secret()) {
            pair.copy_from_slice(&[byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]));
        }
        use_it(str::from_utf8(&*text).expect("digits are ASCII"))
    }
}

impl From<&SessionId> for KeptId {
    fn from(id: &SessionId) -> Self {
        let value = |digit: u8| match digit {
            b'a'..=b'f' => digit - b'a' + 10,
            _ => digit - b'0',
        };
        let digits = &id.as_str().as_bytes()[PREFIX.len()..];
        Self(SecretBox::init_with_mut(|kept: &mut [u8; DIGITS / 2]| {
            for (byte, pair) in kept.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = value(pair[0]) << 4 | value(pair[1]);
            }
        }))
    }
}

impl PartialEq for KeptId {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl fmt::Debug for KeptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId(#{})", self.fingerprint())
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
    fn an_id_that_was_kept_is_the_same_as_before_as_text_and_in_a_header_that_is_marked_sensitive()
    {
        for digits in ["0123456789abcdef", "fedcba9876543210", "0000000000000000"] {
            let id = SessionId::parse(&format!("sess_{}", digits.repeat(4))).unwrap();
            let kept = KeptId::from(&id);
            assert!(kept.to_id() == id && kept == KeptId::from(&id));
            assert_eq!(kept.fingerprint(), id.fingerprint());
            let header = kept.to_header();
            assert_eq!(header.as_bytes(), id.as_str().as_bytes());
            assert!(header.is_sensitive());
            let other = id.as_str().replacen(&digits[..2], "11", 1);
            assert!(kept != KeptId::from(&SessionId::parse(&other).unwrap()));
        }
    }
}
