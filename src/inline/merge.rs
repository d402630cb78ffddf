//! The merge of defaults into a body. It takes bytes and returns bytes.

use std::fmt;

use super::{
    members::{Lacking, Length},
    scan,
};
use crate::api::SessionDefaults;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The result of a merge.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Merge {
    /// The body names every default, so it can be sent as it is.
    Complete,
    /// The body, with the defaults that it lacked.
    Merged(Vec<u8>),
    /// The body is not one JSON object. The server merges nothing into it either: it accepts arrays unchanged and
    /// refuses everything else.
    NotAnObject,
}

impl fmt::Debug for Merge {
    /// Shows only the length of a merged body, because the body may hold a viewing key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("Complete"),
            Self::Merged(body) => write!(f, "Merged({} bytes)", body.len()),
            Self::NotAnObject => f.write_str("NotAnObject"),
        }
    }
}

/// Puts the defaults that a JSON body does not name into that body.
///
/// The server reads the result as it would read the body together with a session that has these defaults. The missing
/// members go behind the opening brace, and all other bytes stay as they are. An empty body counts as `{}`.
///
/// The body is read as the server reads it, in UTF-8:
///
/// - One byte order mark at the start is skipped.
/// - Escapes in key names are resolved before the names are compared.
/// - A key whose value is `null` counts as present. A key of a nested object does not count.
/// - Values may be nested to any depth, and numbers may be larger than any float.
///
/// ```
/// use sipher_session::{Chain, SessionDefaults, inline::{Merge, merge}};
///
/// let near = SessionDefaults::new().chain(Chain::Near);
/// let Merge::Merged(body) = merge(br#"{ "label": "x" }"#, &near) else { panic!() };
/// assert_eq!(body, br#"{"chain":"near", "label": "x" }"#);
/// assert!(matches!(merge(br#"{"chain":null}"#, &near), Merge::Complete));
/// assert!(matches!(merge(b"[]", &near), Merge::NotAnObject));
/// ```
///
/// It scans the body once and builds no tree. The merged body is allocated in one piece.
pub fn merge(body: &[u8], defaults: &SessionDefaults) -> Merge {
    let start = if body.starts_with(BYTE_ORDER_MARK) {
        BYTE_ORDER_MARK.len()
    } else {
        0
    };
    let mut lacking = Lacking::all(defaults);
    if body.len() == start {
        return Splice::braces(body).fill(&lacking);
    }
    let is_blank = |byte: &u8| b" \t\n\r".contains(byte);
    let Some(blanks) = body[start..].iter().position(|byte| !is_blank(byte)) else {
        return Merge::NotAnObject;
    };
    let brace = start + blanks;
    let mut is_empty = true;
    let noted = scan::keys(&body[brace..], |key| {
        is_empty = false;
        lacking.note(key);
    });
    match noted {
        Some(()) => Splice::behind(body, brace, is_empty).fill(&lacking),
        None => Merge::NotAnObject,
    }
}

/// Where the members are put in, and what surrounds them.
struct Splice<'b> {
    before: &'b [u8],
    open: &'static [u8],
    close: &'static [u8],
    after: &'b [u8],
}

impl<'b> Splice<'b> {
    /// Turns an empty body, or a byte order mark alone, into an object.
    fn braces(body: &'b [u8]) -> Self {
        Self {
            before: body,
            open: b"{",
            close: b"}",
            after: b"",
        }
    }

    fn behind(body: &'b [u8], brace: usize, is_empty: bool) -> Self {
        let (before, after) = body.split_at(brace + 1);
        let close: &[u8] = if is_empty { b"" } else { b"," };
        Self {
            before,
            open: b"",
            close,
            after,
        }
    }

    fn fill(&self, lacking: &Lacking<'_>) -> Merge {
        if lacking.is_empty() {
            return Merge::Complete;
        }
        let mut length = Length::default();
        lacking.write(&mut length).expect("values are JSON");
        let around = [self.before, self.open, self.close, self.after];
        let around: usize = around.iter().map(|part| part.len()).sum();
        let mut merged = Vec::with_capacity(around + length.0);
        merged.extend_from_slice(self.before);
        merged.extend_from_slice(self.open);
        lacking.write(&mut merged).expect("values are JSON");
        merged.extend_from_slice(self.close);
        merged.extend_from_slice(self.after);
        Merge::Merged(merged)
    }
}

#[cfg(test)]
mod tests;
