//! Decodes a text, so that a secret looks the same in each encoding.

use std::ops::Range;

/// How many nested encodings are undone.
const ROUNDS: usize = 4;

/// One visible ASCII character in lower case, and its place in the text.
#[derive(Clone)]
pub(super) struct Symbol {
    pub(super) c: char,
    pub(super) at: Range<usize>,
}

impl Symbol {
    pub(super) fn is_hex(&self) -> bool {
        self.c.is_ascii_hexdigit()
    }
}

/// Returns whether something that is not a symbol, such as a line end, comes before this symbol.
pub(super) fn has_gap(symbols: &[Symbol], at: usize) -> bool {
    at > 0 && symbols[at - 1].at.end < symbols[at].at.start
}

/// Returns the visible ASCII characters of a text. Secrets contain only such characters.
pub(super) fn plain(text: &str) -> Vec<Symbol> {
    let symbol = |(at, c): (usize, char)| Symbol {
        c,
        at: at..at + c.len_utf8(),
    };
    let mut symbols: Vec<_> = text.char_indices().map(symbol).collect();
    for _ in 0..ROUNDS {
        let before = symbols.len();
        symbols = decoded(&symbols);
        if symbols.len() == before {
            break;
        }
    }
    symbols.retain(|symbol| symbol.c.is_ascii_graphic());
    for symbol in &mut symbols {
        symbol.c.make_ascii_lowercase();
    }
    symbols
}

fn decoded(symbols: &[Symbol]) -> Vec<Symbol> {
    let mut decoded = Vec::with_capacity(symbols.len());
    let mut rest = symbols;
    while let Some(first) = rest.first() {
        let (c, length) = decode(rest).unwrap_or((first.c, 1));
        let at = first.at.start..rest[length - 1].at.end;
        decoded.push(Symbol { c, at });
        rest = &rest[length..];
    }
    decoded
}

/// Returns the character that an escape stands for, and the length of the escape.
fn decode(symbols: &[Symbol]) -> Option<(char, usize)> {
    match (symbols.first()?.c, symbols.get(1)?.c) {
        ('%', _) => Some((digits(symbols.get(1..3)?, 16)?, 3)),
        ('\\', 'u') => Some((digits(symbols.get(2..6)?, 16)?, 6)),
        ('\\', 'n' | 'r' | 't') => Some(('\n', 2)),
        ('\\', c @ ('/' | '"' | '\\')) => Some((c, 2)),
        ('&', '#') => entity(symbols),
        _ => None,
    }
}

/// Decodes `&#115;` or `&#x73;`.
fn entity(symbols: &[Symbol]) -> Option<(char, usize)> {
    let is_hex = symbols.get(2)?.c.eq_ignore_ascii_case(&'x');
    let (start, radix) = if is_hex { (3, 16) } else { (2, 10) };
    let length = symbols.iter().take(12).position(|s| s.c == ';')?;
    Some((digits(symbols.get(start..length)?, radix)?, length + 1))
}

fn digits(symbols: &[Symbol], radix: u32) -> Option<char> {
    let add = |number: u32, symbol: &Symbol| {
        number
            .checked_mul(radix)?
            .checked_add(symbol.c.to_digit(radix)?)
    };
    let number = symbols.iter().try_fold(0, add)?;
    char::from_u32(number).filter(|_| !symbols.is_empty())
}
