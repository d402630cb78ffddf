//! Draws bodies, headers and defaults from a seed. Odd ones are more frequent than in practice.

use std::io::Write;

use fastrand::Rng;
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use http::{HeaderMap, HeaderValue};
use serde_json::json;

use crate::api::{Chain, PrivacyLevel, SessionDefaults};

pub(super) struct Case {
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) defaults: SessionDefaults,
}

pub(super) fn case(seed: u64) -> Case {
    let rng = &mut Rng::with_seed(seed);
    let defaults = defaults(rng);
    let mut headers = HeaderMap::new();
    let text = text(rng);
    let text = broken(rng, text);
    let body = encoded(rng, text, &mut headers);
    Case {
        headers,
        body,
        defaults,
    }
}

fn one_in(rng: &mut Rng, n: u32) -> bool {
    rng.u32(..n) == 0
}

fn any<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

fn defaults(rng: &mut Rng) -> SessionDefaults {
    let mut defaults = SessionDefaults::new();
    if !one_in(rng, 4) {
        defaults.chain = Some(Chain::Near);
    }
    if one_in(rng, 3) {
        defaults.privacy_level = Some(PrivacyLevel::Shielded);
    }
    if one_in(rng, 5) {
        defaults.rpc_provider = Some("helius".into());
    }
    if one_in(rng, 5) {
        defaults.backend = Some("a \"quoted\"\n\u{1f600}".into());
    }
    if one_in(rng, 5) {
        defaults.default_viewing_key = Some("0xfeed".into());
    }
    if one_in(rng, 6) {
        defaults = defaults.other("colour", json!({ "chain": [null, -0.5] }));
        defaults = defaults.other(
            any(rng, &["__proto__", "a\"\\b", "", "\u{e9}"]),
            json!([{}]),
        );
    }
    defaults
}

const BLANKS: [&str; 8] = ["", "", "", "", " ", "\n", "\r\n", "\t "];
#[rustfmt::skip]
const KEYS: [&str; 28] = [
    "chain", "chain", "chain", "privacyLevel", "rpcProvider", "backend", "defaultViewingKey", "colour", "Chain", "chain ",
    "chai", "label", "count", "a", "", "__proto__", "constructor", "toString", "\\ud800", "chain\\udc00", "\\ud83d\\ude00",
    "\\ud800\\ud83d\\ude00", "a\\\"\\\\b", "\\u0000", "\u{e9}", "\\u00e9", "\u{1f600}", "\\/\\b\\f\\n\\r\\t",
];
#[rustfmt::skip]
const SCALARS: [&str; 22] = [
    "null", "true", "false", "0", "-0", "-0.0", "1", "1e999", "-1e999", "1e-999", "123456789012345678901234567890", "1.5E+3",
    "0.1e-7", "\"\"", "\"sui\"", "\"near\"", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\u0000\"", "\"\u{1f600}\\\"\"",
    "\"{\\\"chain\\\":1}\"", "\"\u{2028}\"",
];
#[rustfmt::skip]
const NOT_OBJECTS: [&str; 20] = [
    "", "", " ", "\n", "[]", "[{}]", "[1,2]", "null", "true", "12", "\"x\"", "{'chain':1}", "{chain:1}", "// c\n{}", "{\"a\":1,}",
    "{\"a\":01}", "{\"a\" 1}", "{\"a\":1 \"b\":2}", "{\"a\":\"\u{1}\"}", "{\"\t\":1}",
];
const BEFORE: [&str; 7] = [
    "\u{feff}",
    "\u{feff}",
    "\u{feff}\u{feff}",
    "\u{a0}",
    "\0",
    "\u{b}",
    "x",
];
const BEHIND: [&str; 8] = ["x", "{}", ",", "}", "\0", "\u{feff}", "\u{a0}", "1"];

fn text(rng: &mut Rng) -> String {
    let mut text = if one_in(rng, 8) {
        any(rng, &NOT_OBJECTS).to_owned()
    } else {
        object(rng, 0)
    };
    if one_in(rng, 10) {
        text.insert_str(0, any(rng, &BEFORE));
    }
    if one_in(rng, 20) {
        text.push_str(any(rng, &BEHIND));
    }
    text
}

fn blank(rng: &mut Rng) -> &'static str {
    any(rng, &BLANKS)
}

fn object(rng: &mut Rng, depth: usize) -> String {
    let members = if one_in(rng, 5) { 0 } else { rng.usize(1..5) };
    let mut text = format!("{}{{{}", blank(rng), blank(rng));
    for index in 0..members {
        let comma = if index > 0 { "," } else { "" };
        let key = key(rng);
        let value = value(rng, depth + 1);
        text += &[comma, blank(rng), "\"", &key, "\"", blank(rng), ":"].concat();
        text += &[blank(rng), &value, blank(rng)].concat();
    }
    text + "}" + blank(rng)
}

/// Draws a key, sometimes with escapes for letters that need none.
fn key(rng: &mut Rng) -> String {
    let key = any(rng, &KEYS);
    if !key.chars().all(|c| c.is_ascii_alphabetic()) || !one_in(rng, 4) {
        return key.to_owned();
    }
    let escaped = |c: char| match rng.u8(..4) {
        0 => format!("\\u{:04x}", c as u32),
        1 => format!("\\u{:04X}", c as u32),
        _ => c.to_string(),
    };
    key.chars().map(escaped).collect()
}

fn value(rng: &mut Rng, depth: usize) -> String {
    if one_in(rng, 10_000) {
        return nested(any(rng, &["[", "{\"chain\":"]), 10_000);
    }
    match rng.u32(..1_000) {
        0..5 => nested("[", rng.usize(..200)),
        5..200 if depth < 4 => object(rng, depth),
        200..300 if depth < 4 => format!(
            "[{},{}{}]",
            value(rng, depth + 1),
            blank(rng),
            value(rng, depth + 1)
        ),
        300..320 => "[]".to_owned(),
        _ => any(rng, &SCALARS).to_owned(),
    }
}

fn nested(open: &str, depth: usize) -> String {
    let close = if open == "[" { "]" } else { "}" };
    open.repeat(depth) + "1" + &close.repeat(depth)
}

/// Sometimes cuts the text off, or changes, adds or removes a byte. The result may not be valid Unicode.
fn broken(rng: &mut Rng, text: String) -> Vec<u8> {
    let mut text = text.into_bytes();
    if text.is_empty() || !one_in(rng, 6) {
        return text;
    }
    let at = rng.usize(..text.len());
    match rng.u8(..5) {
        0 => text.truncate(at),
        1 => text[at] = rng.u8(..),
        2 => text.insert(at, rng.u8(..)),
        3 => text.insert(
            at,
            any(rng, &["\"", "\\", "{", "}", ",", ":", "\n", "0"]).as_bytes()[0],
        ),
        _ => drop(text.remove(at)),
    }
    text
}

#[rustfmt::skip]
const TYPES: [&str; 22] = [
    "application/json; charset=utf-8", "application/json;charset=\"UTF-8\"", "Application/JSON", " application/json ",
    "application/json;", "application/json; profile=x", "application/json; a=\";charset=utf-16\"", "application/json;charset=",
    "application/json; charset=utf-16", "application/json; charset=utf-16le", "application/json; charset=utf-16be",
    "application/json; charset=iso-8859-1", "application/json; charset=utf8", "application/json; charset=utf-8; charset=utf-16",
    "application/json; charset=\"utf-16", "text/json", "application/vnd.api+json", "application/jsonx", "application/json, text/plain",
    "*/*", "text/plain; application/json", "application/x-www-form-urlencoded",
];
const ENCODINGS: [&str; 8] = [
    "gzip", "gzip", "deflate", "identity", "IDENTITY", "", "zstd", "x-gzip",
];

/// Draws headers, and encodes the text as they say, but sometimes not.
fn encoded(rng: &mut Rng, text: Vec<u8>, headers: &mut HeaderMap) -> Vec<u8> {
    let media_type = if one_in(rng, 4) {
        any(rng, &TYPES)
    } else {
        "application/json"
    };
    headers.append("content-type", HeaderValue::from_static(media_type));
    let mut body = text;
    if (media_type.contains("utf-16") || one_in(rng, 100)) && !one_in(rng, 4) {
        body = utf_16(rng, &body);
    }
    if one_in(rng, 8) {
        let encoding = any(rng, &ENCODINGS);
        headers.append("content-encoding", HeaderValue::from_static(encoding));
        if !one_in(rng, 5) {
            body = packed(encoding, body);
        }
    }
    if one_in(rng, 50) {
        let (name, value) = [
            ("content-type", "application/json; charset=utf-16"),
            ("content-type", "text/plain"),
            ("content-encoding", "identity"),
        ][rng.usize(..3)];
        headers.append(name, HeaderValue::from_static(value));
    }
    match rng.u8(..10) {
        0 => {}
        1 | 2 => drop(headers.insert("transfer-encoding", HeaderValue::from_static("chunked"))),
        _ => drop(headers.insert("content-length", body.len().into())),
    }
    body
}

fn utf_16(rng: &mut Rng, text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let mark = if one_in(rng, 2) { "\u{feff}" } else { "" };
    let is_big = one_in(rng, 3);
    let units = mark.encode_utf16().chain(text.encode_utf16());
    let bytes = |unit: u16| {
        if is_big {
            unit.to_be_bytes()
        } else {
            unit.to_le_bytes()
        }
    };
    units.flat_map(bytes).collect()
}

fn packed(encoding: &str, body: Vec<u8>) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut packer = GzEncoder::new(Vec::new(), Compression::none());
            packer
                .write_all(&body)
                .and_then(|()| packer.finish())
                .unwrap()
        }
        "deflate" => {
            let mut packer = ZlibEncoder::new(Vec::new(), Compression::none());
            packer
                .write_all(&body)
                .and_then(|()| packer.finish())
                .unwrap()
        }
        _ => body,
    }
}
