//! Finds one value in a JSON text as the server would. The last of equal keys wins, and escapes in keys are resolved.
//!
//! The rest of the text is skipped without a limit on its depth, and is not kept.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What was found at the end of a path of keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    Text(String),
    /// A value that is not a string.
    Other,
}

/// Looks for the value at `path` in a JSON text. Returns `None` if the text is not JSON.
pub(super) fn find(path: &[&str], json: &[u8]) -> Option<Found> {
    let mut json = serde_json::Deserializer::from_slice(json);
    let found = At(path).deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(found)
}

#[derive(Clone, Copy)]
struct At<'p>(&'p [&'p str]);

impl At<'_> {
    fn no_text(self) -> Found {
        if self.0.is_empty() {
            Found::Other
        } else {
            Found::Nothing
        }
    }
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Found;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Found, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Found;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found, A::Error> {
        let Some((key, rest)) = self.0.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Found::Other);
        };
        let mut found = Found::Nothing;
        while let Some(is_key) = map.next_key_seed(Is(key))? {
            if is_key {
                found = map.next_value_seed(At(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Found, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.no_text())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Found, E> {
        Ok(if self.0.is_empty() {
            Found::Text(text.to_owned())
        } else {
            Found::Nothing
        })
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Found, E> {
        Ok(self.no_text())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Found, E> {
        Ok(self.no_text())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Found, E> {
        Ok(self.no_text())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Found, E> {
        Ok(self.no_text())
    }

    fn visit_unit<E: Error>(self) -> Result<Found, E> {
        Ok(self.no_text())
    }
}

/// Compares a key with this one, byte by byte. JavaScript accepts keys that are not valid Unicode.
struct Is<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<bool, D::Error> {
        key.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E: Error>(self, key: &[u8]) -> Result<bool, E> {
        Ok(key == self.0.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(json: &str) -> Option<Found> {
        find(&["data", "chain"], json.as_bytes())
    }

    #[test]
    fn the_last_of_equal_keys_wins_at_each_depth() {
        let text = |text: &str| Some(Found::Text(text.to_owned()));
        assert_eq!(
            chain(r#"{"data":{"chain":"near","chain":"sui"}}"#),
            text("sui")
        );
        assert_eq!(
            chain(r#"{"data":{"chain":"near"},"data":{"chain":"sui"}}"#),
            text("sui")
        );
        assert_eq!(
            chain(r#"{"data":{"chain":"near"},"data":{}}"#),
            Some(Found::Nothing)
        );
        assert_eq!(
            chain(r#"{"data":{"chain":"near"},"data":[]}"#),
            Some(Found::Nothing)
        );
    }

    #[test]
    fn keys_and_values_may_be_escaped_and_what_is_nested_does_not_count() {
        let json = r#"{"\u0064ata":{"cha\u0069n":"ne\u0061r","x":{"chain":"sui"}},"chain":"sui"}"#;
        assert_eq!(chain(json), Some(Found::Text("near".to_owned())));
        assert_eq!(
            chain(r#"{"data":{"chain":"near","\ud800":1}}"#),
            chain(json)
        );
    }

    #[test]
    fn whatever_is_no_text_is_told_from_nothing() {
        for other in ["null", "true", "1", "-1", "1.5", "[1,[2]]", r#"{"a":{}}"#] {
            let json = format!(r#"{{"data":{{"chain":{other}}}}}"#);
            assert_eq!(chain(&json), Some(Found::Other), "{other}");
            assert_eq!(chain(other), Some(Found::Nothing), "{other}");
        }
        assert_eq!(chain(r#""near""#), Some(Found::Nothing));
    }

    #[test]
    fn what_is_not_one_json_text_is_not_read() {
        for json in [
            "",
            " ",
            "{",
            r#"{"data":{"chain":"near"}"#,
            r#"{"data":{"chain":"near"}} x"#,
            "NaN",
            r#"{"data":{"chain":"near"},}"#,
        ] {
            assert_eq!(chain(json), None, "{json}");
        }
    }

    #[test]
    fn depth_elsewhere_is_no_obstacle() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let json = format!(r#"{{"deep":{deep},"data":{{"deep":{deep},"chain":"near"}}}}"#);
        assert_eq!(chain(&json), Some(Found::Text("near".to_owned())));
        let json = format!(r#"{{"data":{{"chain":{deep}}}}}"#);
        assert_eq!(chain(&json), Some(Found::Other));
    }
}
