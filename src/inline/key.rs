//! Compares keys of a JSON text with names.

use std::str::Chars;

/// A key as it is written in a JSON text, without its quotes.
pub(super) struct Key<'j> {
    text: &'j [u8],
    /// Whether the key has no escapes and only ASCII, so that its bytes can be compared.
    is_plain: bool,
}

impl<'j> Key<'j> {
    pub(super) fn new(text: &'j [u8]) -> Self {
        let is_plain = text.iter().all(|&byte| byte.is_ascii() && byte != b'\\');
        Self { text, is_plain }
    }

    pub(super) fn is(&self, name: &str) -> bool {
        if self.is_plain {
            self.text == name.as_bytes()
        } else {
            stands_for(self.text, name)
        }
    }
}

/// Returns whether the key means this name. The server first replaces invalid UTF-8, and then resolves escapes. So
/// does this function.
fn stands_for(key: &[u8], name: &str) -> bool {
    let text = String::from_utf8_lossy(key);
    let (mut text, mut name) = (text.chars(), name.chars());
    while let Some(next) = text.next() {
        let next = match next {
            '\\' => escaped(&mut text),
            same => Some(same),
        };
        if next.is_none() || next != name.next() {
            return false;
        }
    }
    name.next().is_none()
}

/// Returns the character that the escape after a backslash means. `None` for a lone surrogate, which no name
/// contains.
fn escaped(text: &mut Chars<'_>) -> Option<char> {
    Some(match text.next()? {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return code(text),
        same => same,
    })
}

/// Reads a `\u` escape, or two that form one character.
fn code(text: &mut Chars<'_>) -> Option<char> {
    let unit = unit(text)?;
    char::from_u32(unit.into()).or_else(|| {
        let low = text.as_str().strip_prefix("\\u")?;
        *text = low.chars();
        let pair = [unit, self::unit(text)?];
        char::decode_utf16(pair).next()?.ok()
    })
}

fn unit(text: &mut Chars<'_>) -> Option<u16> {
    let digits = text.as_str().get(..4)?;
    *text = text.as_str()[4..].chars();
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(key: &[u8], name: &str) -> bool {
        Key::new(key).is(name)
    }

    #[test]
    fn escapes_are_what_they_stand_for() {
        for (key, name) in [
            ("chain", "chain"),
            ("\\u0063h\\u0061in", "chain"),
            ("\\u0043\\u006E", "Cn"),
            ("", ""),
            ("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\u{8}\u{c}\n\r\t"),
            ("\u{e9}\\u00e9", "\u{e9}\u{e9}"),
            ("\\ud83d\\ude00\u{1f600}", "\u{1f600}\u{1f600}"),
        ] {
            assert!(is(key.as_bytes(), name), "{key}");
            assert!(!is(format!("{key}x").as_bytes(), name), "{key}");
            assert!(!is(key.as_bytes(), &format!("{name}x")), "{key}");
        }
        assert!(is(b"a\xff", "a\u{fffd}"));
    }

    #[test]
    fn other_keys_are_not_the_name() {
        for (key, name) in [
            ("chain\\ud800", "chain"),
            ("\\ud800chain", "chain"),
            ("\\ud800", "\u{fffd}"),
            ("\\udc00\\ud800", "\u{1f600}"),
            ("\\ud83d\\u0041", "A"),
            ("a\\n", "a\\n"),
            ("\\\\u0061", "a"),
            ("Chain", "chain"),
        ] {
            assert!(!is(key.as_bytes(), name), "{key}");
        }
    }
}
