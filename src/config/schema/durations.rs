//! Durations as patterns of text.
//!
//! A pattern cannot add numbers. So the schema checks the limits only of a duration with one unit and a whole number
//! (`90s`). Of any other duration (`1m 30s`, `0.5m`) it checks only the form.

use std::{ops::RangeInclusive, time::Duration};

use humantime::format_duration;
use schemars::Schema;
use serde_json::json;

use super::{by_default, optional};

/// What humantime calls each unit, and how many milliseconds the unit has. The schema has no limits for finer units.
const UNITS: [(&str, u64); 8] = [
    ("millis|msec|ms", 1),
    ("seconds|second|secs|sec|s", 1_000),
    ("minutes|minute|min|mins|m", 60_000),
    ("hours|hour|hr|hrs|h", 3_600_000),
    ("days|day|d", 86_400_000),
    ("weeks|week|wk|wks|w", 604_800_000),
    ("months|month|M", 2_630_016_000),
    ("years|year|yr|yrs|y", 31_557_600_000),
];
const FINER: &str = "nanos|nsec|ns|usec|us|µs";

pub(super) fn any() -> Schema {
    with(None)
}

pub(super) fn above_zero() -> Schema {
    with(Some("^[^1-9]*$".to_owned()))
}

#[cfg(feature = "store")]
pub(super) fn at_least(least: Duration) -> Schema {
    with(Some(outside(least, None)))
}

pub(super) fn duration(range: RangeInclusive<Duration>) -> Schema {
    let (least, most) = range.into_inner();
    with(Some(outside(least, Some(most))))
}

/// Adds the default duration to a schema.
pub(super) fn lasting(default: Duration, schema: Schema) -> Schema {
    by_default(format_duration(default).to_string(), schema)
}

fn with(refused: Option<String>) -> Schema {
    let units = UNITS.map(|(names, _)| names).join("|");
    let form = format!(r"^\s*([0-9][0-9\s]*(\.[0-9\s]+)?({FINER}|{units})\s*)+$");
    let mut rules = json!({"pattern": form});
    if let Some(refused) = refused {
        rules["not"] = json!({"type": "string", "pattern": refused});
    }
    optional("string", rules)
}

/// Returns a pattern that matches every duration outside of the range, in each unit.
fn outside(least: Duration, most: Option<Duration>) -> String {
    let units = UNITS.map(|(names, millis)| {
        let mut wrong = below(millis_of(least).div_ceil(millis));
        if let Some(most) = most {
            wrong.extend(above(millis_of(most) / millis));
        }
        format!(r"({})\s*({names})", wrong.join("|"))
    });
    format!(r"^\s*0*({})\s*$", units.join("|"))
}

fn millis_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Patterns for the numbers below this one, with or without zeros before them.
fn below(limit: u64) -> Vec<String> {
    let mut patterns = at_each_digit(limit, '1'..='9', |digit| format!("[0-{}]", previous(digit)));
    let digits = limit.to_string().len();
    if digits > 1 {
        patterns.push(format!("[0-9]{{1,{}}}", digits - 1));
    }
    patterns
}

/// Patterns for the numbers above this one, without zeros before them.
fn above(limit: u64) -> Vec<String> {
    let mut patterns = at_each_digit(limit, '0'..='8', |digit| format!("[{}-9]", next(digit)));
    patterns.push(format!("[1-9][0-9]{{{},}}", limit.to_string().len()));
    patterns
}

/// Returns a pattern for each digit that is in `varied`: the same digits before it, another digit in its place, and any
/// digits after it.
fn at_each_digit(
    limit: u64,
    varied: RangeInclusive<char>,
    other: impl Fn(char) -> String,
) -> Vec<String> {
    let limit = limit.to_string();
    let digits = limit.chars().enumerate();
    let digits = digits.filter(|(_, digit)| varied.contains(digit));
    let pattern = |(at, digit): (usize, char)| {
        let rest = limit.len() - at - 1;
        format!("{}{}[0-9]{{{rest}}}", &limit[..at], other(digit))
    };
    digits.map(pattern).collect()
}

fn previous(digit: char) -> char {
    char::from_u32(digit as u32 - 1).unwrap_or(digit)
}

fn next(digit: char) -> char {
    char::from_u32(digit as u32 + 1).unwrap_or(digit)
}
