//! Parses JSON like JavaScript's `JSON.parse`.
//!
//! `serde_json` refuses some text that JavaScript accepts: lone surrogates, numbers beyond the range of a float, and
//! deep nesting.

use serde_json::{Map, Value};

/// The depth to which values are kept. Values that are nested deeper are checked and then discarded: no route reads
/// them, and dropping a deeper tree would overflow the stack.
const KEPT: usize = 64;

/// Parses one JSON text. Lone surrogates become replacement characters. Numbers beyond the range of a float become the
/// largest float.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut parser = Parser { rest: text };
    let value = parser.value()?;
    parser.blanks();
    parser.rest.is_empty().then_some(value)
}

struct Parser<'t> {
    rest: &'t str,
}

/// An array or object that is not complete yet.
enum Open {
    Array(Vec<Value>),
    /// With the key of the member that is being read.
    Object(Map<String, Value>, String),
}

/// The beginning of a value.
enum Start {
    Complete(Value),
    /// A container whose first value follows.
    Container,
}

impl Open {
    fn put(&mut self, value: Value, is_kept: bool) {
        match self {
            Self::Array(_) | Self::Object(..) if !is_kept => {}
            Self::Array(items) => items.push(value),
            Self::Object(members, key) => drop(members.insert(std::mem::take(key), value)),
        }
    }

    fn end(&self) -> char {
        match self {
            Self::Array(_) => ']',
            Self::Object(..) => '}',
        }
    }

    fn close(self) -> Value {
        match self {
            Self::Array(items) => items.into(),
            Self::Object(members, _) => members.into(),
        }
    }
}

impl Parser<'_> {
    /// Parses a value without recursion, because JavaScript's parser has no limit on depth.
    fn value(&mut self) -> Option<Value> {
        let mut open = Vec::new();
        loop {
            self.blanks();
            let Start::Complete(mut value) = self.start(&mut open)? else {
                continue;
            };
            loop {
                let is_kept = open.len() <= KEPT;
                let Some(container) = open.last_mut() else {
                    return Some(value);
                };
                container.put(value, is_kept);
                self.blanks();
                if self.eat(',') {
                    self.blanks();
                    self.key(container)?;
                    break;
                }
                self.eat(container.end()).then_some(())?;
                value = open.pop()?.close();
            }
        }
    }

    fn start(&mut self, open: &mut Vec<Open>) -> Option<Start> {
        let mut container = if self.eat('[') {
            Open::Array(Vec::new())
        } else if self.eat('{') {
            Open::Object(Map::new(), String::new())
        } else {
            return self.scalar().map(Start::Complete);
        };
        self.blanks();
        if self.eat(container.end()) {
            return Some(Start::Complete(container.close()));
        }
        self.key(&mut container)?;
        open.push(container);
        Some(Start::Container)
    }

    /// Reads the key of the next member, if the container is an object.
    fn key(&mut self, container: &mut Open) -> Option<()> {
        if let Open::Object(_, key) = container {
            *key = self.string()?;
            self.blanks();
            self.eat(':').then_some(())?;
        }
        Some(())
    }

    fn scalar(&mut self) -> Option<Value> {
        let words = [
            ("null", Value::Null),
            ("true", true.into()),
            ("false", false.into()),
        ];
        for (word, value) in words {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Some(value);
            }
        }
        if self.rest.starts_with('"') {
            self.string().map(Value::from)
        } else {
            self.number()
        }
    }

    fn string(&mut self) -> Option<String> {
        self.eat('"').then_some(())?;
        let is_plain = |&byte: &u8| byte != b'"' && byte != b'\\' && byte >= b' ';
        let plain = self.rest.bytes().take_while(is_plain).count();
        if self.rest[plain..].starts_with('"') {
            let text = self.rest[..plain].to_owned();
            self.rest = &self.rest[plain + 1..];
            return Some(text);
        }
        let mut units = Vec::new();
        loop {
            let next = self.next()?;
            match next {
                '"' => return Some(String::from_utf16_lossy(&units)),
                '\\' => units.push(self.escape()?),
                '\0'..' ' => return None,
                _ => units.extend_from_slice(next.encode_utf16(&mut [0; 2])),
            }
        }
    }

    fn escape(&mut self) -> Option<u16> {
        Some(match self.next()? {
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'u' => {
                let digits = self.rest.get(..4)?;
                let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                self.rest = &self.rest[4..];
                return is_hex.then(|| u16::from_str_radix(digits, 16).ok())?;
            }
            same @ ('"' | '\\' | '/') => same as u16,
            _ => return None,
        })
    }

    fn number(&mut self) -> Option<Value> {
        let text = self.rest;
        self.eat('-');
        if !self.eat('0') {
            self.digits()?;
        }
        if self.eat('.') {
            self.digits()?;
        }
        if self.eat('e') || self.eat('E') {
            let _ = self.eat('+') || self.eat('-');
            self.digits()?;
        }
        let text = &text[..text.len() - self.rest.len()];
        let number: f64 = text.parse().ok()?;
        Some(number.clamp(f64::MIN, f64::MAX).into())
    }

    fn digits(&mut self) -> Option<()> {
        let rest = self.rest.trim_start_matches(|c: char| c.is_ascii_digit());
        (rest.len() < self.rest.len()).then(|| self.rest = rest)
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.rest.as_bytes().first() {
            self.rest = &self.rest[1..];
        }
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = &self.rest[next.len_utf8()..];
        Some(next)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let is_next = self.rest.as_bytes().first() == Some(&(wanted as u8));
        if is_next {
            self.rest = &self.rest[1..];
        }
        is_next
    }
}
