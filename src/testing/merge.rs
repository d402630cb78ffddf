//! Reads request bodies like the server, and merges a session's defaults into them.

use std::io::Read;

use flate2::read::{MultiGzDecoder, ZlibDecoder};
use serde_json::{Map, Value};

use super::{
    answer::Answer,
    call::{self, Call},
    content_type, json,
};

/// The longest body that the server reads, in bytes after decompression.
const LIMIT: usize = 1024 * 1024;

/// Parses a body as JSON. Returns `None` for no body, or for a type that the server does not read.
///
/// Defaults are merged only into objects, and only with the type `application/json`. An error is the server's answer to
/// the request.
pub(super) fn read(call: &Call, body: &[u8]) -> Result<Option<Value>, Answer> {
    let (media_type, charset) =
        content_type::parse(&call.header("content-type").unwrap_or_default());
    if media_type != "application/json" || !has_body(call, body) {
        return Ok(None);
    }
    let unpacked = unpack(call, body).ok_or_else(failure)?;
    if unpacked.len() > LIMIT {
        return Err(failure());
    }
    let charset = charset.as_deref().unwrap_or("utf-8");
    let text = decode(charset, &unpacked).ok_or_else(failure)?;
    if text.is_empty() {
        return Ok(Some(Value::Object(Map::new())));
    }
    match json::parse(&text) {
        Some(value @ (Value::Object(_) | Value::Array(_))) => Ok(Some(value)),
        _ => Err(Answer::error(
            400,
            "INVALID_JSON",
            "Request body is not valid JSON",
        )),
    }
}

/// Returns whether the request has a body. The headers say so. In process no client adds those headers, so a body that
/// is not empty counts too.
fn has_body(call: &Call, body: &[u8]) -> bool {
    let is_said = |name| call.headers.contains_key(name);
    is_said("content-length") || is_said("transfer-encoding") || !body.is_empty()
}

/// Adds each default that the body does not name itself. A `null` in the body counts as named.
pub(super) fn merge(body: &mut Value, defaults: &Map<String, Value>) {
    let Value::Object(body) = body else { return };
    for (name, value) in defaults {
        body.entry(name).or_insert_with(|| value.clone());
    }
}

/// Returns the body that a route would get, or the status of the refusal. Needs no server.
#[cfg(test)]
pub(crate) fn as_read(
    headers: &http::HeaderMap,
    body: &[u8],
    session: Option<&Map<String, Value>>,
) -> Result<Option<Value>, u16> {
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.headers = headers.clone();
    let call = Call::new(head, std::net::Ipv4Addr::LOCALHOST.into());
    let mut body = read(&call, body).map_err(|refusal| refusal.status.as_u16())?;
    if let (Some(body), Some(session)) = (&mut body, session) {
        merge(body, session);
    }
    Ok(body)
}

/// Returns the answer to a body whose bytes cannot be read. The server reports that as a failure of its own.
fn failure() -> Answer {
    Answer::error(500, "INTERNAL_SERVER_ERROR", "An unexpected error occurred")
}

fn unpack(call: &Call, body: &[u8]) -> Option<Vec<u8>> {
    let lines = call.headers.get_all("content-encoding").iter();
    let lines: Vec<_> = lines.map(call::trimmed).collect();
    let packed: Box<dyn Read + '_> = match lines.join(", ").to_ascii_lowercase().as_str() {
        "" | "identity" => return Some(body.to_vec()),
        "gzip" => Box::new(MultiGzDecoder::new(body)),
        "deflate" => Box::new(ZlibDecoder::new(body)),
        _ => return None,
    };
    let mut unpacked = Vec::new();
    let most = LIMIT as u64 + 1;
    packed.take(most).read_to_end(&mut unpacked).ok()?;
    Some(unpacked)
}

/// Decodes text and removes a byte order mark. If there are two, the second one stays.
fn decode(charset: &str, bytes: &[u8]) -> Option<String> {
    let units = |of: fn([u8; 2]) -> u16| {
        let units: Vec<_> = pairs(bytes).map(of).collect();
        String::from_utf16_lossy(&units)
    };
    let text = match charset {
        "utf-8" => String::from_utf8_lossy(bytes).into_owned(),
        "utf-16" if is_big_endian(bytes) => units(u16::from_be_bytes),
        "utf-16" | "utf-16le" => units(u16::from_le_bytes),
        "utf-16be" => units(u16::from_be_bytes),
        _ => return None,
    };
    Some(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

/// Returns whether UTF-16 text is big-endian: as the byte order mark says, or else by which order makes more of the
/// first 100 characters ASCII.
fn is_big_endian(bytes: &[u8]) -> bool {
    match bytes {
        [0xfe, 0xff, ..] => return true,
        [0xff, 0xfe, ..] => return false,
        _ => {}
    }
    let ascii = |[high, low]: [u8; 2]| high == 0 && low != 0;
    let first = || pairs(bytes).take(100);
    let little = first().filter(|&[low, high]| ascii([high, low])).count();
    first().filter(|&pair| ascii(pair)).count() > little
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = [u8; 2]> {
    bytes.chunks_exact(2).map(|pair| [pair[0], pair[1]])
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };
    use http::Request;
    use serde_json::json;

    use super::*;

    /// Returns the parsed value, or the status of the refusal.
    fn read_as(content_type: &str, encoding: &str, body: &[u8]) -> Result<Option<Value>, u16> {
        let request = Request::post("/")
            .header("content-type", content_type)
            .header("content-encoding", encoding);
        let (head, ()) = request.body(()).unwrap().into_parts();
        read(&Call::new(head, std::net::Ipv4Addr::LOCALHOST.into()), body)
            .map_err(|answer| answer.status.as_u16())
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(body).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn packed_bodies_are_read_up_to_the_limit() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"[1]").unwrap();
        let zlib = zlib.finish().unwrap();
        assert_eq!(
            read_as("application/json", "DEFLATE", &zlib),
            Ok(Some(json!([1.0])))
        );
        let blank = " ".repeat(LIMIT - 2) + "{}";
        let json = "application/json";
        assert_eq!(
            read_as(json, "gzip", &gzip(blank.as_bytes())),
            Ok(Some(json!({})))
        );
        let longer = " ".to_owned() + &blank;
        assert_eq!(read_as(json, "gzip", &gzip(longer.as_bytes())), Err(500));
        assert_eq!(read_as(json, "gzip", b"no gzip"), Err(500));
        assert_eq!(read_as(json, "zstd", b"{}"), Err(500));
    }

    #[test]
    fn only_unicode_is_read() {
        let json = |charset| format!("application/json; x=y; Charset=\"{charset}\"");
        assert_eq!(read_as(&json("UTF-8"), "", b"{}"), Ok(Some(json!({}))));
        assert_eq!(
            read_as(&json("utf-16be"), "", b"\0{\0}"),
            Ok(Some(json!({})))
        );
        assert_eq!(
            read_as(&json("utf-16"), "", b"\xfe\xff\0{\0}"),
            Ok(Some(json!({})))
        );
        assert_eq!(read_as(&json("latin1"), "", b"{}"), Err(500));
        assert_eq!(
            read_as("application/json", "", b" "),
            Err(400),
            "blank is not empty"
        );
        assert_eq!(read_as("application/jsonl", "", b"{oops"), Ok(None));
    }
}
