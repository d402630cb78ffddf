//! Checks the merge with bodies that are generated from a seed.
//!
//! `INLINE_CASES` sets how many. A failure names its seed. `INLINE_SEED` runs that one alone.

use std::env;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::{
    NotInlined, adjusted,
    generate::{self, Case},
    inlined,
};
use crate::{
    api::SessionDefaults,
    inline::{Merge, merge, scan},
    testing::as_read,
};

const CASES: u64 = 200_000;

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// Counts the outcomes, so that a generator that always draws the same thing is noticed.
#[derive(Debug, Default)]
struct Counts {
    merged: u64,
    complete: u64,
    left_alone: u64,
    not_readable_here: u64,
    makes_a_difference: u64,
    as_the_reference: u64,
}

#[test]
fn merged_and_without_a_session_a_body_means_what_it_means_with_one() {
    let mut counts = Counts::default();
    if let Some(seed) = number("INLINE_SEED") {
        let case = generate::case(seed);
        println!(
            "{:?}\n{}",
            case.headers,
            String::from_utf8_lossy(&case.body)
        );
        return check(seed, &case, &mut counts);
    }
    let cases = number("INLINE_CASES").unwrap_or(CASES);
    for seed in 0..cases {
        check(seed, &generate::case(seed), &mut counts);
    }
    println!("{counts:?}");
    let least = cases / 20;
    let Counts {
        merged,
        complete,
        left_alone,
        not_readable_here,
        makes_a_difference,
        as_the_reference,
    } = counts;
    for count in [
        merged,
        complete,
        left_alone,
        not_readable_here,
        makes_a_difference,
        as_the_reference,
    ] {
        assert!(count > least, "the generator draws too few of a kind");
    }
}

fn check(seed: u64, case: &Case, counts: &mut Counts) {
    let Case {
        headers,
        body,
        defaults,
    } = case;
    let session = json(defaults);
    let with = as_read(headers, body, Some(&session));
    let without = as_read(headers, body, None);
    assert_eq!(is_object(body), is_object_to_serde(body), "seed {seed}");
    counts.makes_a_difference += u64::from(with != without);
    match inlined(headers, body, defaults) {
        Ok(None) => {
            assert_eq!(with, without, "seed {seed}");
            counts.complete += 1;
        }
        Ok(Some(merged)) => {
            let headers = adjusted(headers.clone(), &merged);
            assert_eq!(as_read(&headers, &merged, None), with, "seed {seed}");
            assert!(is_insertion(body, &merged), "seed {seed}");
            assert_eq!(
                merge(&merged, defaults),
                Merge::Complete,
                "seed {seed}: twice"
            );
            counts.as_the_reference += u64::from(agrees(body, &merged, &session, seed));
            counts.merged += 1;
        }
        Err(NotInlined::Encoded | NotInlined::Charset) => counts.not_readable_here += 1,
        Err(reason) => {
            assert!(reason.is_servers(), "seed {seed}");
            assert_eq!(with, without, "seed {seed}: {reason:?}");
            counts.left_alone += 1;
        }
    }
}

fn is_object(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    scan::keys(body, |_| {}).is_some()
}

/// Returns whether `serde_json` reads the body as one JSON object. It skips values by the same grammar.
fn is_object_to_serde(body: &[u8]) -> bool {
    let body = body.trim_ascii_start();
    body.starts_with(b"{") && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}

/// Returns the defaults as the server stores them.
fn json(defaults: &SessionDefaults) -> Map<String, Value> {
    match serde_json::to_value(defaults) {
        Ok(Value::Object(defaults)) => defaults,
        other => panic!("{other:?}"),
    }
}

/// Returns whether the merged body is the body with one insertion, all other bytes in order.
fn is_insertion(body: &[u8], merged: &[u8]) -> bool {
    let start = body.iter().zip(merged).take_while(|(a, b)| a == b).count();
    let end = body
        .iter()
        .rev()
        .zip(merged.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    merged.len() > body.len() && start + end >= body.len()
}

/// Returns whether a simple merge has the same result. The simple merge cannot read all that the server reads.
fn agrees(body: &[u8], merged: &[u8], session: &Map<String, Value>, seed: u64) -> bool {
    let Ok(mut simple) = serde_json::from_slice::<Map<String, Value>>(body) else {
        return false;
    };
    for (name, value) in session {
        simple.entry(name).or_insert_with(|| value.clone());
    }
    let merged: Map<String, Value> = serde_json::from_slice(merged).unwrap();
    assert_eq!(merged, simple, "seed {seed}");
    true
}
