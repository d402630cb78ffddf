//! Pure functions that say which requests and answers are checked.

use http::{
    HeaderMap, Method, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

use super::json::{self, Found};

/// The longest body that is read, in bytes. The server accepts no longer request, and no answer of these routes is
/// longer.
pub(super) const LIMIT: usize = 1024 * 1024;

/// The routes that use the session's chain and name it in their answer, in `data.chain`.
const ROUTES: [&str; 3] = [
    "/v1/stealth/check",
    "/v1/stealth/generate",
    "/v1/stealth/generate/batch",
];

/// Returns whether a request to this path of Sipher uses a chain that its answer names. Like the server, ignores
/// letter case and a slash at the end.
pub(super) fn is_route(method: &Method, path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    method == Method::POST && ROUTES.iter().any(|route| ends_with(path, route))
}

/// Returns whether `path` ends with `end`, ignoring letter case. The base URL may put a path of its own in front.
fn ends_with(path: &str, end: &str) -> bool {
    let start = path.len().checked_sub(end.len());
    start.is_some_and(|start| path.as_bytes()[start..].eq_ignore_ascii_case(end.as_bytes()))
}

/// Returns whether the server merges a session's defaults into a body with these headers, and this crate can read
/// that body.
///
/// This accepts less than the server, which also reads gzip and UTF-16. In doubt it returns `false`: a wrong `true`
/// would end a good session.
pub(super) fn is_plain_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(media_type), None) = (types.next(), types.next()) else {
        return false;
    };
    let is_json = media_type.to_str().is_ok_and(|text| {
        let (media_type, parameters) = text.split_once(';').unwrap_or((text, "charset=utf-8"));
        media_type.trim().eq_ignore_ascii_case("application/json") && is_utf8(parameters)
    });
    is_json && headers.get_all(CONTENT_ENCODING).iter().next().is_none()
}

fn is_utf8(parameters: &str) -> bool {
    let Some((name, value)) = parameters.trim().split_once('=') else {
        return false;
    };
    let utf8 = ["utf-8", "\"utf-8\""];
    name.eq_ignore_ascii_case("charset") && utf8.iter().any(|utf8| value.eq_ignore_ascii_case(utf8))
}

/// Returns whether a JSON body leaves the chain to the session: it is empty, or an object without a key `chain`.
/// Returns `false` if this cannot be determined.
pub(super) fn leaves_chain_open(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.is_empty() {
        return true;
    }
    let is_object = body.trim_ascii_start().starts_with(b"{");
    is_object && json::find(&["chain"], body) == Some(Found::Nothing)
}

/// Returns whether an answer with this head can be read.
pub(super) fn is_readable(status: StatusCode, headers: &HeaderMap) -> bool {
    status.is_success() && is_plain_json(headers)
}

/// Returns the chain that an answer names.
pub(super) fn chain_of(body: &[u8]) -> Option<String> {
    match json::find(&["data", "chain"], body)? {
        Found::Text(chain) => Some(chain),
        Found::Nothing | Found::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_routes_are_checked_however_the_server_would_match_them() {
        let checked = [
            "/v1/stealth/generate",
            "/v1/stealth/generate/",
            "/V1/Stealth/GENERATE/batch/",
            "/below/v1/stealth/check",
        ];
        for path in checked {
            assert!(is_route(&Method::POST, path), "{path}");
            assert!(!is_route(&Method::GET, path), "{path}");
        }
        for path in [
            "/v1/stealth/generate//",
            "/v1/stealth/generate/batches",
            "/v1/stealth",
            "/v1/backends/compare",
            "/generate",
            "",
            "/é",
        ] {
            assert!(!is_route(&Method::POST, path), "{path}");
        }
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_what_is_certain_to_be_plain_json_is_taken_for_it() {
        for plain in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=UTF-8",
            "application/json ; Charset=\"utf-8\"",
        ] {
            assert!(
                is_plain_json(&headers(&[("content-type", plain)])),
                "{plain}"
            );
        }
        for other in [
            "application/json, text/plain",
            "application/json; charset=utf-16",
            "application/json;",
            "application/json; a=b",
            "application/problem+json",
            "text/json",
            "",
        ] {
            assert!(
                !is_plain_json(&headers(&[("content-type", other)])),
                "{other}"
            );
        }
        let json = ("content-type", "application/json");
        assert!(!is_plain_json(&headers(&[])));
        assert!(!is_plain_json(&headers(&[json, json])));
        assert!(!is_plain_json(&headers(&[
            json,
            ("content-encoding", "gzip")
        ])));
    }

    #[test]
    fn a_body_leaves_the_chain_open_if_it_is_an_object_without_that_key() {
        for open in [
            "",
            "{}",
            " {\"label\":\"x\"} ",
            "\u{feff}{}",
            r#"{"a":{"chain":"sui"}}"#,
            r#"{"Chain":"sui"}"#,
        ] {
            assert!(leaves_chain_open(open.as_bytes()), "{open}");
        }
        for not in [
            r#"{"chain":"sui"}"#,
            r#"{"chain":null}"#,
            r#"{"\u0063hain":1}"#,
            r#"{"chain":{}}"#,
            "[]",
            "1",
            " ",
            "{",
            "{} x",
        ] {
            assert!(!leaves_chain_open(not.as_bytes()), "{not}");
        }
    }

    #[test]
    fn an_answer_names_its_chain_where_the_server_puts_it() {
        let json = r#"{"success":true,"data":{"chain":"near","results":[]}}"#;
        assert_eq!(chain_of(json.as_bytes()).as_deref(), Some("near"));
        for other in [
            r#"{"chain":"near"}"#,
            r#"{"data":{"chain":null}}"#,
            "[]",
            "{",
        ] {
            assert_eq!(chain_of(other.as_bytes()), None, "{other}");
        }
    }
}
