//! Parses `Content-Type` like the server, which accepts almost anything.

/// Returns the media type, and the charset if the header names one.
pub(super) fn parse(header: &str) -> (String, Option<String>) {
    let (media_type, mut rest) = cut(header);
    let mut charset = None;
    while let Some(text) = rest {
        let Some((name, value)) = text.split_once(['=', ';']) else {
            break;
        };
        if text.as_bytes()[name.len()] == b';' {
            rest = Some(value);
            continue;
        }
        let value = value.trim_start_matches(BLANKS);
        let (value, after) = if let Some(quoted) = value.strip_prefix('"') {
            unquote(quoted)
        } else {
            let (value, after) = cut(value);
            (Some(value.to_owned()), after)
        };
        if name.trim_matches(BLANKS).eq_ignore_ascii_case("charset") {
            charset = charset.or(value);
        }
        rest = after;
    }
    let charset = charset.filter(|charset| !charset.is_empty());
    (
        media_type.to_ascii_lowercase(),
        charset.map(|charset| charset.to_lowercase()),
    )
}

const BLANKS: [char; 2] = [' ', '\t'];

/// Splits text at the next semicolon. Returns the parts before and after it.
fn cut(text: &str) -> (&str, Option<&str>) {
    let (before, after) = match text.split_once(';') {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    };
    (before.trim_matches(BLANKS), after)
}

/// Reads a quoted value. Returns no value if the closing quote is missing.
fn unquote(text: &str) -> (Option<String>, Option<&str>) {
    let mut value = String::new();
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '"' => return (Some(value), cut(rest.as_str()).1),
            '\\' => value.extend(rest.next()),
            _ => value.push(next),
        }
    }
    (None, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn almost_anything_is_taken() {
        for (header, charset) in [
            ("application/json", None),
            ("Application/JSON ;", None),
            ("application/json; charset=UTF-8", Some("utf-8")),
            (
                "application/json;;x;charset = \"utf\\-16\" y; charset=z",
                Some("utf-16"),
            ),
            ("application/json; a=\";charset=x\"; charset=y ", Some("y")),
            ("application/json; charset=\"utf-16", None),
            ("application/json; charset=; charset=utf-16", None),
        ] {
            let charset = charset.map(str::to_owned);
            assert_eq!(
                parse(header),
                ("application/json".to_owned(), charset),
                "{header}"
            );
        }
        assert_eq!(
            parse("text/plain, application/json").0,
            "text/plain, application/json"
        );
    }
}
