//! 2,500 requests that were recorded from a real server, each sent with a session and without. Tests of the crate and
//! of the fake share them.

use std::io::Read;

use base64::{Engine, prelude::BASE64_STANDARD};
use flate2::read::GzDecoder;
use serde::Deserialize;

/// Status, chain, and code of the error.
pub(crate) type Answered = (u16, Option<String>, Option<String>);

#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    framing: String,
    body: Option<String>,
    /// Length, start and end of a body that repeats itself.
    pad: Option<(usize, String, String)>,
    pub(crate) with: Answered,
    pub(crate) without: Answered,
}

impl Case {
    pub(crate) fn body(&self) -> Vec<u8> {
        match (&self.body, &self.pad) {
            (Some(body), _) => BASE64_STANDARD.decode(body).unwrap(),
            (None, Some(pad)) => padded(pad),
            (None, None) => Vec::new(),
        }
    }

    /// The recorded headers, with the body's length as the client sent it.
    pub(crate) fn headers(&self) -> http::HeaderMap {
        let mut headers = http::HeaderMap::new();
        for (name, value) in &self.headers {
            let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, value.parse().unwrap());
        }
        match self.framing.as_str() {
            "length" => headers.insert("content-length", self.body().len().into()),
            "chunked" => headers.insert("transfer-encoding", "chunked".parse().unwrap()),
            framing => {
                assert_eq!(framing, "none");
                None
            }
        };
        headers
    }
}

fn padded((length, begin, end): &(usize, String, String)) -> Vec<u8> {
    let room = length - begin.len() - end.len();
    let pad = match begin.chars().last() {
        Some('[') => {
            let depth = (length - r#"{"a":}"#.len()) / 2;
            let open = begin.matches('[').count();
            "[".repeat(depth - open) + &"]".repeat(room + open - depth)
        }
        _ => "x".repeat(room),
    };
    format!("{begin}{pad}{end}").into_bytes()
}

pub(crate) fn cases() -> Vec<Case> {
    let packed = include_bytes!("merge.jsonl.gz");
    let mut text = String::new();
    GzDecoder::new(&packed[..])
        .read_to_string(&mut text)
        .unwrap();
    let cases = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let cases: Vec<Case> = cases.collect();
    assert_eq!(cases.len(), 2_500);
    cases
}
