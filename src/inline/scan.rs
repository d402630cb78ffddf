//! The keys of a JSON object, as JavaScript's `JSON.parse` reads them. Values are skipped, whatever their depth.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// Calls `note` with each key of a JSON object, in the bytes that it stands for. Returns how many there are, or `None` if
/// the text is not one JSON object.
pub(super) fn keys(json: &[u8], note: impl FnMut(&[u8])) -> Option<usize> {
    let mut keys = Keys {
        note,
        count: 0,
        is_odd: false,
    };
    let mut text = serde_json::Deserializer::from_slice(json);
    (&mut text).deserialize_map(&mut keys).ok()?;
    text.end().ok()?;
    let is_strict = !keys.is_odd || serde_json::from_slice::<IgnoredAny>(json).is_ok();
    is_strict.then_some(keys.count)
}

struct Keys<F> {
    note: F,
    count: usize,
    /// Whether a key has a control character. Read as bytes, keys may have them unescaped, which is not JSON; read as
    /// text, they may not be lone surrogates, which is.
    is_odd: bool,
}

impl<'de, F: FnMut(&[u8])> Visitor<'de> for &mut Keys<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(Key(self))?.is_some() {
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Read as bytes, since keys may be lone surrogates.
struct Key<'k, F>(&'k mut Keys<F>);

impl<'de, F: FnMut(&[u8])> DeserializeSeed<'de> for Key<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<(), D::Error> {
        key.deserialize_bytes(self)
    }
}

impl<F: FnMut(&[u8])> Visitor<'_> for Key<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<(), E> {
        self.0.count += 1;
        self.0.is_odd |= key.iter().any(|&byte| byte < b' ');
        (self.0.note)(key);
        Ok(())
    }
}
