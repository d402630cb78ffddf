//! Removes secrets from texts that come from outside.
//!
//! Sipher's messages repeat session ids (`Session not found: sess_…`). Transport errors repeat URLs that contain ids.
//! Both are scrubbed before they are shown. A secret is found in any letter case and in part. It is also found if it is
//! encoded for a URL, for JSON or for HTML, or broken over lines.

mod plain;

use std::{error::Error as StdError, fmt, ops::Range};

use secrecy::zeroize::Zeroizing;
use serde_json::Value;

use self::plain::{Symbol, plain};

/// The longest foreign text that is shown, in characters.
const MAX_TEXT: usize = 500;
/// If a text is longer, only this many of its characters are read.
const MAX_READ: usize = 8 * MAX_TEXT;
/// The deepest nesting of a server's `details` that is kept.
const MAX_DEPTH: usize = 16;
/// A piece of a secret with this many characters is removed like the whole secret.
pub(super) const PIECE: usize = 12;

/// The hexadecimal digits of an id.
const ID_DIGITS: usize = 64;
/// Trace ids and UUIDs have this many digits. More digits may be an id without its beginning, or a viewing key.
const MAX_DIGITS: usize = 32;

const REDACTED: &str = "[redacted]";
const ID: &str = "sess_";
const REDACTED_ID: &str = "sess_[redacted]";
const KEY: &str = "sk_";

/// Replaces the given secrets, everything that looks like a session id or an API key, and everything that breaks a log
/// line.
pub(crate) fn text(text: &str, secrets: &[&str]) -> String {
    let end = text.char_indices().nth(MAX_READ).map(|(at, _)| at);
    let text = &text[..end.unwrap_or(text.len())];
    let mut clean = String::with_capacity(text.len());
    let mut shown = 0;
    for (cut, label) in cuts(text, secrets) {
        clean.push_str(&text[shown..cut.start]);
        clean.push_str(label);
        shown = cut.end;
    }
    clean.push_str(&text[shown..]);
    let is_longer = end.is_some() || clean.chars().nth(MAX_TEXT).is_some();
    let mut clean: String = clean
        .chars()
        .take(MAX_TEXT)
        .map(|c| if breaks_a_line(c) { ' ' } else { c })
        .collect();
    if is_longer {
        clean.push('…');
    }
    clean
}

/// Returns whether a text of any length contains one of the secrets, whole or in part.
pub(crate) fn finds(text: &str, secrets: &[&str]) -> bool {
    let symbols = plain(text);
    secrets
        .iter()
        .any(|secret| !pieces(&symbols, secret).is_empty())
}

/// Returns whether a character is a control character, changes the writing direction, or ends a line in some viewers.
fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns which ranges to cut out of a text and what to put there, in order and without overlaps.
fn cuts(text: &str, secrets: &[&str]) -> Vec<(Range<usize>, &'static str)> {
    let symbols = plain(text);
    let mut found = ids(&symbols);
    found.extend(keys(&symbols));
    found.extend(digits(&symbols));
    for secret in secrets {
        found.extend(pieces(&symbols, secret));
    }
    found.sort_by_key(|(cut, _)| cut.start);
    let mut cuts: Vec<(Range<usize>, &'static str)> = Vec::new();
    for (cut, label) in found {
        let cut = symbols[cut.start].at.start..symbols[cut.end - 1].at.end;
        match cuts.last_mut() {
            Some((last, _)) if cut.start < last.end => last.end = last.end.max(cut.end),
            _ => cuts.push((cut, label)),
        }
    }
    cuts
}

type Found = Vec<(Range<usize>, &'static str)>;

/// Finds the pieces of a secret.
fn pieces(symbols: &[Symbol], secret: &str) -> Found {
    let secret = Zeroizing::new(plain(secret).iter().map(|s| s.c).collect::<Vec<_>>());
    let length = PIECE.min(secret.len());
    if length == 0 {
        return Found::new();
    }
    let windows = symbols.windows(length).enumerate();
    let is_piece = |window: &[Symbol]| {
        let text = window.iter().map(|symbol| &symbol.c);
        secret
            .windows(length)
            .any(|piece| piece.iter().eq(text.clone()))
    };
    windows
        .filter(|(_, window)| is_piece(window))
        .map(|(at, _)| (at..at + length, REDACTED))
        .collect()
}

/// Finds everything that begins like an id, whole or not.
fn ids(symbols: &[Symbol]) -> Found {
    let starts = starts(symbols, ID);
    let id = |start: usize| {
        let mut end = start + ID.len();
        let mut digits = 0;
        while let Some(word) = word(symbols, end) {
            let is_hex = symbols[word.clone()].iter().all(Symbol::is_hex);
            // An id that is broken over lines continues with digits.
            let goes_on = is_hex && digits > 0 && digits < ID_DIGITS;
            if !goes_on && plain::has_gap(symbols, end) {
                break;
            }
            digits += word.len();
            end = word.end;
        }
        (start..end, REDACTED_ID)
    };
    starts.map(id).collect()
}

/// Returns the letters and digits in a row from `from` on.
fn word(symbols: &[Symbol], from: usize) -> Option<Range<usize>> {
    let goes_on = |at: &usize| {
        symbols[*at].c.is_ascii_alphanumeric() && (*at == from || !plain::has_gap(symbols, *at))
    };
    let end = from + (from..symbols.len()).take_while(goes_on).count();
    (end > from).then_some(from..end)
}

/// Finds API keys: `sk_`, a tier, and the key itself.
fn keys(symbols: &[Symbol]) -> Found {
    let key = |start: usize| {
        if start > 0 && word(symbols, start - 1).is_some_and(|word| word.end > start) {
            return None;
        }
        let tier = word(symbols, start + KEY.len())?;
        let underscore = symbols.get(tier.end)?.c == '_';
        let mut key = word(symbols, tier.end + 1)?;
        while symbols.get(key.end).is_some_and(|it| it.c == '_')
            && let Some(more) = word(symbols, key.end + 1)
        {
            key.end = more.end;
        }
        underscore.then_some((start..key.end, REDACTED))
    };
    starts(symbols, KEY).filter_map(key).collect()
}

/// Finds hexadecimal digits in a row: more than a trace id has, or as many as a key has after `0x`.
fn digits(symbols: &[Symbol]) -> Found {
    let mut found = Found::new();
    let mut at = 0;
    while at < symbols.len() {
        let goes_on =
            |i: &usize| symbols[*i].is_hex() && (*i == at || !plain::has_gap(symbols, *i));
        let end = at + (at..symbols.len()).take_while(goes_on).count();
        let is_key = symbols[at].c == 'x' && at > 0 && symbols[at - 1].c == '0';
        if is_key {
            let digits = word(symbols, at + 1).filter(|word| word.len() >= PIECE);
            let digits = digits.filter(|word| symbols[word.clone()].iter().all(Symbol::is_hex));
            found.extend(digits.map(|word| (at - 1..word.end, REDACTED)));
        } else if end - at > MAX_DIGITS {
            found.push((at..end, REDACTED));
        }
        at = end.max(at + 1);
    }
    found
}

fn starts(symbols: &[Symbol], what: &'static str) -> impl Iterator<Item = usize> {
    let windows = symbols.windows(what.len()).enumerate();
    windows
        .filter(move |(_, window)| window.iter().map(|symbol| symbol.c).eq(what.chars()))
        .map(|(at, _)| at)
}

/// Scrubs every string in a JSON value, including object keys.
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

/// A foreign error and its causes, reduced to their scrubbed texts.
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

    const KEY: &str = "my-own-key-000111222333444";

    fn id() -> String {
        format!("sess_{}", "0a".repeat(32))
    }

    #[test]
    fn ids_and_keys_are_cut_wherever_they_stand() {
        let id = id();
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
                format!("half of it: {} is gone", &id[..20]),
                "half of it: sess_[redacted] is gone",
            ),
            (
                "key sk_pro_1 is bad\r\nX: y".into(),
                "key [redacted] is bad  X: y",
            ),
            (
                "ttl: is sk_pro_TOP_SECRET_1, sk_pro_2_".into(),
                "ttl: is [redacted], [redacted]_",
            ),
            ("SK_ENT_42; task_pro_1".into(), "[redacted]; task_pro_1"),
            (format!("digits {}!", &id[5..]), "digits [redacted]!"),
            (
                "0x0123456789ab; 0x0123456789".into(),
                "[redacted]; 0x0123456789",
            ),
            ("nothing to hide".into(), "nothing to hide"),
        ] {
            assert_eq!(text(&dirty, &[]), clean);
        }
    }

    #[test]
    fn encoded_and_broken_ids_are_found() {
        let id = id();
        let (start, end) = id.split_at(30);
        let each = |dress: fn(u8) -> String| id.bytes().map(dress).collect::<String>();
        let percent = each(|b| format!("%{b:02X}"));
        let twice = percent.replace('%', "%25");
        let escaped = each(|b| format!("\\u{b:04x}"));
        let entities = each(|b| format!("&#{b};"));
        let hex_entities = each(|b| format!("&#x{b:x};"));
        let lines: Vec<_> = id
            .as_bytes()
            .chunks(8)
            .map(String::from_utf8_lossy)
            .collect();
        for dirty in [
            percent,
            twice,
            escaped,
            entities,
            hex_entities,
            lines.join("\n"),
            id.replace('_', "%5f"),
            id.replace("0a", "0%61"),
            format!("{start}\r\n\t{end}"),
            format!("{start}\\r\\n{end}"),
            format!("{start}\u{200b}{end}"),
        ] {
            let clean = text(&format!("id={dirty}&x=1"), &[]);
            assert_eq!(clean, "id=sess_[redacted]&x=1", "{dirty}");
        }
    }

    #[test]
    fn a_secret_is_found_in_part_and_in_every_dress() {
        for dirty in [
            KEY.to_uppercase(),
            KEY[3..18].to_owned(),
            KEY.replace('-', "%2D"),
            KEY.replace('-', "\\u002d"),
            KEY.replace('1', " 1"),
            KEY.replace('0', "0\n"),
        ] {
            assert_eq!(
                text(&format!("<{dirty}>"), &[KEY]),
                "<[redacted]>",
                "{dirty}"
            );
            assert!(finds(&dirty, &["other", KEY]));
        }
        let too_short = &KEY[..PIECE - 1];
        assert_eq!(text(too_short, &[KEY]), too_short);
        assert!(!finds(too_short, &[KEY, ""]));
        assert_eq!(text("k1 and k2", &["k1"]), "[redacted] and k2");
    }

    #[test]
    fn what_names_a_request_stays() {
        for name in [
            "0af7651916cd43dd8448eb211c80319c",
            "00000000-0000-4000-8000-000000000001",
            "req-7",
        ] {
            assert_eq!(text(name, &[KEY]), name);
        }
    }

    #[test]
    fn text_that_ends_in_the_middle_of_anything_is_no_trouble() {
        for dirty in [
            "%", "%4", "\\", "\\u", "\\u00", "&", "&#", "&#x", "&#12", "sess_", "sk_", "é%C3%A9",
            "\\ud800",
        ] {
            text(dirty, &[KEY]);
            text(&format!("{dirty}é"), &[KEY]);
        }
    }

    #[test]
    fn details_are_cut_at_every_depth() {
        let dirty = json!({"a": [{id(): "k1"}], "n": 1});
        let clean = json!({"a": [{"sess_[redacted]": "[redacted]"}], "n": 1});
        assert_eq!(json(dirty, &["k1"]), clean);
    }

    #[test]
    fn long_text_is_cut_short() {
        assert_eq!(text(&"x".repeat(10_000), &[]).chars().count(), MAX_TEXT + 1);
        assert_eq!(text(&"é".repeat(MAX_TEXT), &[]), "é".repeat(MAX_TEXT));
        let ids = format!("{} ", id()).repeat(1_000);
        assert!(!text(&ids, &[]).contains("0a"));
    }
}
