//! Secrets: API keys and viewing keys.
//!
//! A secret is wiped from memory when its last copy is dropped. `Debug` prints its type and not its value. In events
//! and logs, a [`Fingerprint`] stands for it.
//!
//! ```
//! use sipher_session::{ApiKey, ViewingKey};
//!
//! assert_eq!(format!("{:?}", ApiKey::from("sk_pro_1234")), "ApiKey([redacted])");
//! assert_eq!(format!("{:?}", ViewingKey::from("0xabcd")), "ViewingKey([redacted])");
//! ```

use std::{
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Arc, LazyLock},
};

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::Error;

/// The longest API key that is accepted, in bytes. Real keys are much shorter, and servers accept much longer headers.
pub(crate) const MAX_KEY: usize = 1024;

/// A Sipher API key.
///
/// Creating one does not check its form. `build()` checks the configured key, and the layer checks a key on a request.
#[derive(Clone)]
pub struct ApiKey(Arc<SecretString>);

impl ApiKey {
    /// Returns the fingerprint that stands for the key in events and logs.
    ///
    /// It tells you which tenant an event is about: when the process starts, note it beside the tenant's name. The next
    /// process has another fingerprint for the same key.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.expose())
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Returns the header that carries the key. It is marked sensitive: `Debug` of a request hides the value, and HPACK
    /// does not put it into its table.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the key is empty, too long, or not visible ASCII.
    pub(crate) fn to_header(&self) -> Result<HeaderValue, Error> {
        let key = self.expose();
        if key.is_empty() {
            return Err(Error::config(
                "api_key: is empty; expected a Sipher API key such as `sk_pro_…`",
            ));
        }
        if key.len() > MAX_KEY {
            let len = key.len();
            return Err(Error::config(format!(
                "api_key: is {len} bytes long; expected at most {MAX_KEY}"
            )));
        }
        if let Some(position) = key.chars().position(|c| !c.is_ascii_graphic()) {
            return Err(Error::config(format!(
                "api_key: character {} is not visible ASCII; expected a Sipher API key such as `sk_pro_…`",
                position + 1
            )));
        }
        let mut value = HeaderValue::from_str(key)
            .map_err(|_| Error::config("api_key: cannot be put in a header"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for ApiKey {}

impl From<&str> for ApiKey {
    fn from(key: &str) -> Self {
        Self(Arc::new(key.into()))
    }
}

impl From<&Self> for ApiKey {
    fn from(key: &Self) -> Self {
        key.clone()
    }
}

impl From<String> for ApiKey {
    fn from(key: String) -> Self {
        Self(Arc::new(key.into()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([redacted])")
    }
}

/// The key with which an auditor can see payments: `0x` and hexadecimal digits.
///
/// It serializes as the key itself, because the server needs the key. `Debug` does not show it. Its form is checked
/// before a session is created with it.
#[derive(Clone)]
pub struct ViewingKey(Arc<SecretString>);

impl ViewingKey {
    /// Returns the key itself. Take care where you send it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    pub(crate) fn is_well_formed(&self) -> bool {
        let digits = self.expose().strip_prefix("0x").unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())
    }
}

impl PartialEq for ViewingKey {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for ViewingKey {}

impl Hash for ViewingKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.expose().hash(state);
    }
}

impl From<&str> for ViewingKey {
    fn from(key: &str) -> Self {
        Self(Arc::new(key.into()))
    }
}

impl From<String> for ViewingKey {
    fn from(key: String) -> Self {
        Self(Arc::new(key.into()))
    }
}

impl Serialize for ViewingKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for ViewingKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

impl fmt::Debug for ViewingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ViewingKey([redacted])")
    }
}

/// Eight hexadecimal digits that stand for a secret.
///
/// The same secret has the same digits for as long as the process runs. Nobody can derive the secret from them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(u32);

impl Fingerprint {
    #[allow(clippy::cast_possible_truncation)]
    pub(crate) fn of(secret: &str) -> Self {
        Self(keyed_hash("fingerprint", secret) as u32)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hashes `value` with a key that the operating system drew at random for this process. So nobody outside can find
/// collisions, or derive a secret from its hash. The hash has 128 bits, because two partitions (API key and defaults)
/// must never share a hash.
pub(crate) fn keyed_hash<T: Hash + ?Sized>(domain: &'static str, value: &T) -> u128 {
    static KEYS: LazyLock<[RandomState; 2]> =
        LazyLock::new(|| [RandomState::new(), RandomState::new()]);
    let [high, low] = &*KEYS;
    let half = |key: &RandomState| u128::from(key.hash_one((domain, value)));
    half(high) << 64 | half(low)
}

/// Returns `value` as JSON. The memory is wiped when it is dropped.
pub(crate) fn to_json(value: &impl Serialize) -> secrecy::zeroize::Zeroizing<Vec<u8>> {
    // Longer than any record, so that the vector does not grow: growing would leave a copy of the secret in freed
    // memory.
    let mut json = secrecy::zeroize::Zeroizing::new(Vec::with_capacity(32 * 1024));
    // Values that cannot be JSON were refused long before.
    let _ = serde_json::to_writer(&mut *json, value);
    json
}

#[cfg(test)]
mod tests {
    use secrecy::zeroize::ZeroizeOnDrop;

    use super::*;

    /// On some platforms, other tests read the process's memory to check that secrets are wiped. This assertion covers
    /// the other platforms.
    const _: fn() = || {
        fn is_wiped<T: ZeroizeOnDrop>() {}
        is_wiped::<SecretString>();
    };

    #[test]
    fn a_viewing_key_is_0x_and_hexadecimal_digits() {
        for good in ["0xabcd1234", "0xABCD", "0x0"] {
            assert!(ViewingKey::from(good).is_well_formed(), "{good}");
        }
        for bad in ["", "0x", "abcd", "0Xab", "0xgg", " 0xab", "0xab "] {
            assert!(!ViewingKey::from(bad).is_well_formed(), "{bad}");
        }
    }

    #[test]
    fn a_key_in_a_header_is_marked_sensitive() {
        assert!(ApiKey::from("sk_pro_1").to_header().unwrap().is_sensitive());
    }

    #[test]
    fn equal_secrets_have_equal_fingerprints_and_others_do_not() {
        assert_eq!(Fingerprint::of("a"), Fingerprint::of("a"));
        assert_ne!(Fingerprint::of("a"), Fingerprint::of("b"));
        assert_ne!(keyed_hash("one", "a"), keyed_hash("two", "a"));
    }
}
