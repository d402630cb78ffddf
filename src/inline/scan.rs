//! Finds the keys of a JSON object, by the grammar of `JSON.parse`. Values are skipped, whatever their depth.
//!
//! The scan is written by hand. With `serde_json`, nested values would allocate a stack. Also, `serde_json` accepts
//! lone surrogates in keys only in a mode in which it accepts control characters too. The tests compare the two on
//! everything else.

use super::nesting::{Kind, Nesting};

/// Calls `note` with each key of a JSON object, as it is written in the text. Returns `None` if the text is not one
/// JSON object that starts with its brace.
pub(super) fn keys<'j>(json: &'j [u8], note: impl FnMut(&'j [u8])) -> Option<()> {
    let mut scan = Scan { rest: json, note };
    json.starts_with(b"{").then_some(())?;
    scan.value()?;
    scan.blanks();
    scan.rest.is_empty().then_some(())
}

struct Scan<'j, F> {
    rest: &'j [u8],
    note: F,
}

impl<'j, F: FnMut(&'j [u8])> Scan<'j, F> {
    /// Skips one value. Uses no recursion, because the server's parser has no limit on depth.
    fn value(&mut self) -> Option<()> {
        let mut open = Nesting::default();
        loop {
            self.blanks();
            if self.start(&mut open)? {
                continue;
            }
            while let Some(kind) = open.innermost() {
                self.blanks();
                match (self.next()?, kind) {
                    (b',', Kind::Array) => break,
                    (b',', Kind::Object) => {
                        self.blanks();
                        self.key(&open)?;
                        break;
                    }
                    (b']', Kind::Array) | (b'}', Kind::Object) => open.pop(),
                    _ => return None,
                }
            }
            if open.innermost().is_none() {
                return Some(());
            }
        }
    }

    /// Skips a whole scalar or empty container, or the start of another container. Returns whether another value has
    /// to follow.
    fn start(&mut self, open: &mut Nesting) -> Option<bool> {
        match self.next()? {
            b'{' => {
                self.blanks();
                if self.eats(b'}') {
                    return Some(false);
                }
                open.push(Kind::Object);
                self.key(open)?;
                return Some(true);
            }
            b'[' => {
                self.blanks();
                if self.eats(b']') {
                    return Some(false);
                }
                open.push(Kind::Array);
                return Some(true);
            }
            b'"' => drop(self.string()?),
            b'n' => self.word(b"ull")?,
            b't' => self.word(b"rue")?,
            b'f' => self.word(b"alse")?,
            first => self.number(first)?,
        }
        Some(false)
    }

    /// Skips a key and its colon. Notes the key if it belongs to the outermost object.
    fn key(&mut self, open: &Nesting) -> Option<()> {
        self.eats(b'"').then_some(())?;
        let key = self.string()?;
        if open.depth() == 1 {
            (self.note)(key);
        }
        self.blanks();
        self.eats(b':').then_some(())
    }

    /// Skips the rest of a string after its opening quote. Escapes may mean lone surrogates.
    fn string(&mut self) -> Option<&'j [u8]> {
        let start = self.rest;
        loop {
            self.rest = &self.rest[plain(self.rest)..];
            match self.next()? {
                b'"' => return Some(&start[..start.len() - self.rest.len() - 1]),
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'u' => {
                let (digits, rest) = self.rest.split_at_checked(4)?;
                self.rest = rest;
                let are_hex = digits.iter().all(u8::is_ascii_hexdigit);
                are_hex.then_some(())
            }
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            _ => None,
        }
    }

    fn number(&mut self, first: u8) -> Option<()> {
        let first = if first == b'-' { self.next()? } else { first };
        match first {
            b'0' => {}
            b'1'..=b'9' => drop(self.digits()),
            _ => return None,
        }
        if self.eats(b'.') {
            self.digits()?;
        }
        if self.eats(b'e') || self.eats(b'E') {
            let _ = self.eats(b'+') || self.eats(b'-');
            self.digits()?;
        }
        Some(())
    }

    /// Skips digits, at least one.
    fn digits(&mut self) -> Option<()> {
        let start = self.rest.len();
        while let [b'0'..=b'9', rest @ ..] = self.rest {
            self.rest = rest;
        }
        (self.rest.len() < start).then_some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn blanks(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn eats(&mut self, byte: u8) -> bool {
        let is_next = self.rest.first() == Some(&byte);
        if is_next {
            self.rest = &self.rest[1..];
        }
        is_next
    }

    fn next(&mut self) -> Option<u8> {
        let (&next, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(next)
    }
}

/// Returns how many bytes at the start neither end the string nor start an escape. Looks at whole blocks first, which
/// the compiler can compare with vector instructions.
fn plain(text: &[u8]) -> usize {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    let are_plain = |block: &&[u8; 32]| block.iter().fold(true, |all, &byte| all & is_plain(byte));
    let blocks = text.as_chunks().0.iter().take_while(are_plain).count();
    let rest = &text[blocks * 32..];
    let end = rest.iter().position(|&byte| !is_plain(byte));
    blocks * 32 + end.unwrap_or(rest.len())
}
