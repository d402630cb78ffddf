//! The merge of defaults into a body, compared with a merge through a `serde_json::Value`.

use std::{hint::black_box, time::Instant};

use serde_json::{Map, Value, json};
use sipher_session::{
    Chain, PrivacyLevel, SessionDefaults,
    inline::{Merge, merge},
};

use crate::time::{median, nanos};

pub struct Case {
    pub name: String,
    pub body: Vec<u8>,
    pub lacking: bool,
}

/// The defaults that both merge: a chain and a privacy level.
pub fn defaults() -> SessionDefaults {
    SessionDefaults::new()
        .chain(Chain::Near)
        .privacy_level(PrivacyLevel::Shielded)
}

/// Two kinds of bodies, in three lengths: records, and one long text. If a body lacks no default, its defaults come
/// last.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (size, length) in [("200 B", 200), ("10 KB", 10_000), ("1 MB", 1_000_000)] {
        for (kind, fill) in [("records", records as fn(usize) -> String), ("text", text)] {
            for lacking in [true, false] {
                let end = if lacking {
                    ""
                } else {
                    r#","chain":"sui","privacyLevel":null"#
                };
                let room = length - r#"{"data":}"#.len() - end.len();
                let body = format!(r#"{{"data":{}{end}}}"#, fill(room)).into_bytes();
                let what = if lacking {
                    "two lacking"
                } else {
                    "nothing lacking"
                };
                cases.push(Case {
                    name: format!("{size} of {kind}, {what}"),
                    body,
                    lacking,
                });
            }
        }
    }
    cases
}

fn records(length: usize) -> String {
    let record = |n: usize| {
        json!({ "id": n, "recipient": format!("sip:near:0x{n:040x}"), "amount": "1000000", "memo": null,
            "at": 1_790_000_000.25 + n as f64, "tags": ["a", "b"], "confirmed": n.is_multiple_of(2) })
        .to_string()
    };
    let mut text = String::from("[") + &record(0);
    for n in 1.. {
        let next = record(n);
        if text.len() + next.len() + 2 > length {
            break;
        }
        text = text + "," + &next;
    }
    text + "]"
}

fn text(length: usize) -> String {
    let sentence = "A payment for the month of May, as agreed on; see the letter. ";
    format!(
        "{:?}",
        &sentence.repeat(length / sentence.len() + 1)[..length - 2]
    )
}

/// Merges by parsing into a tree.
pub fn simple(body: &[u8], session: &Map<String, Value>) -> Vec<u8> {
    let mut object: Map<String, Value> = serde_json::from_slice(body).expect("an object");
    for (name, value) in session {
        object.entry(name.as_str()).or_insert_with(|| value.clone());
    }
    serde_json::to_vec(&object).expect("it was JSON")
}

pub fn session() -> Map<String, Value> {
    match serde_json::to_value(defaults()) {
        Ok(Value::Object(session)) => session,
        _ => unreachable!("defaults are an object"),
    }
}

/// Returns the nanoseconds of the merge and of the merge through a tree. The two are measured in turns.
pub fn times(case: &Case) -> (f64, f64) {
    let (defaults, session) = (defaults(), session());
    let merged = matches!(merge(&case.body, &defaults), Merge::Merged(_));
    assert_eq!(merged, case.lacking, "{}", case.name);
    let calls = (2_000_000 / case.body.len()).clamp(1, 2_000);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        ours.push(time(calls, || {
            drop(black_box(merge(black_box(&case.body), &defaults)))
        }));
        theirs.push(time(calls, || {
            drop(black_box(simple(black_box(&case.body), &session)))
        }));
    }
    (median(&mut ours), median(&mut theirs))
}

/// Returns a table with one row for each case.
pub fn table() -> String {
    let mut table = String::from(
        "| body | µs | `serde_json::Value`, µs | ratio |\n| --- | --- | --- | --- |\n",
    );
    for case in cases() {
        let (ours, theirs) = times(&case);
        let (ours, theirs, ratio) = (ours / 1e3, theirs / 1e3, ours / theirs);
        table += &format!("| {} | {ours:.2} | {theirs:.2} | {ratio:.2} |\n", case.name);
    }
    table
}

fn time(calls: usize, mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        call();
    }
    nanos(start.elapsed()) / calls as f64
}
