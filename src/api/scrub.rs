//! Takes secrets out of text that others wrote.
//!
//! Sipher's messages repeat session ids (`Session not found: sess_…`), and transport errors repeat URLs, which contain
//! them. Neither is shown before it went through here.

use std::{error::Error as StdError, fmt};

use serde_json::Value;

/// The longest text of others that is shown, in characters.
const MAX_TEXT: usize = 500;
/// The deepest nesting of a server's `details` that is kept.
const MAX_DEPTH: usize = 16;

/// Replaces session ids and the secrets given, and what would break a log line.
pub(crate) fn text(text: &str, secrets: &[&str]) -> String {
    let mut clean = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        clean = clean.replace(secret, "[redacted]");
    }
    let clean = without_ids(&clean);
    let mut clean: String = clean
        .chars()
        .take(MAX_TEXT)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if clean.chars().count() == MAX_TEXT {
        clean.push('…');
    }
    clean
}

/// Whatever begins like an id is cut, whole or not, in whatever case.
fn without_ids(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.to_ascii_lowercase().find("sess_") {
        let (before, id) = rest.split_at(at);
        let id = &id["sess_".len()..];
        let end = id
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(id.len());
        clean.push_str(before);
        clean.push_str("sess_[redacted]");
        rest = &id[end..];
    }
    clean + rest
}

/// The same for every string in a JSON value, its keys included.
pub(crate) fn json(value: Value, secrets: &[&str]) -> Value {
    fn walk(value: Value, secrets: &[&str], depth: usize) -> Value {
        match value {
            Value::String(s) => Value::String(text(&s, secrets)),
            Value::Array(_) | Value::Object(_) if depth == MAX_DEPTH => Value::Null,
            Value::Array(items) => items
                .into_iter()
                .map(|item| walk(item, secrets, depth + 1))
                .collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(key, value)| (text(&key, secrets), walk(value, secrets, depth + 1)))
                .collect(),
            plain => plain,
        }
    }
    walk(value, secrets, 0)
}

/// A foreign error with its causes, of which only the scrubbed text is left.
#[derive(Debug)]
pub(crate) struct Scrubbed {
    text: String,
    source: Option<Box<Scrubbed>>,
}

impl Scrubbed {
    pub(crate) fn new(error: &(dyn StdError + 'static), secrets: &[&str]) -> Self {
        let source = error
            .source()
            .map(|source| Box::new(Self::new(source, secrets)));
        Self {
            text: text(&error.to_string(), secrets),
            source,
        }
    }
}

impl fmt::Display for Scrubbed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Scrubbed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_and_keys_are_cut_wherever_they_stand() {
        let id = format!("sess_{}", "0a".repeat(32));
        for (dirty, clean) in [
            (
                format!("Session not found: {id}"),
                "Session not found: sess_[redacted]",
            ),
            (
                format!("GET /v1/sessions/{id}?x"),
                "GET /v1/sessions/sess_[redacted]?x",
            ),
            (id.to_uppercase(), "sess_[redacted]"),
            (
                format!("half of it: {}", &id[..20]),
                "half of it: sess_[redacted]",
            ),
            (
                "key sk_pro_1 is bad\r\nX: y".into(),
                "key [redacted] is bad  X: y",
            ),
            ("nothing to hide".into(), "nothing to hide"),
        ] {
            assert_eq!(text(&dirty, &["sk_pro_1"]), clean);
        }
    }

    #[test]
    fn details_are_cut_at_every_depth() {
        let id = format!("sess_{}", "0a".repeat(32));
        let dirty = json!({"a": [{&id: "k1"}], "n": 1});
        let clean = json!({"a": [{"sess_[redacted]": "[redacted]"}], "n": 1});
        assert_eq!(json(dirty, &["k1"]), clean);
    }

    #[test]
    fn long_text_is_cut_short() {
        assert_eq!(text(&"x".repeat(10_000), &[]).chars().count(), MAX_TEXT + 1);
    }
}
