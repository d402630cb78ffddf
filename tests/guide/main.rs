//! Compares the guide with the code.
#![allow(clippy::unwrap_used)]

mod life;
mod pages;
mod situations;

use std::collections::BTreeSet;

const CONFIGURATION: &str = include_str!("../../src/guide/configuration.md");
const OBSERVABILITY: &str = include_str!("../../src/guide/observability.md");
const PERFORMANCE: &str = include_str!("../../src/guide/performance.md");
const TROUBLESHOOTING: &str = include_str!("../../src/guide/troubleshooting.md");

/// Returns the variants of an enum, read from its source.
fn variants(source: &'static str, name: &str) -> BTreeSet<&'static str> {
    let body = source.split(&format!("pub enum {name} {{")).nth(1).unwrap();
    let lines = body.split("\n}").next().unwrap().lines();
    let lines = lines.filter_map(|line| line.strip_prefix("    "));
    let variants = lines.filter(|line| line.starts_with(char::is_uppercase));
    variants
        .map(|line| line.trim_end_matches([' ', '{', ',']))
        .collect()
}

/// Returns the code spans that begin with `start`.
fn quoted<'a>(text: &'a str, start: &str) -> BTreeSet<&'a str> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.filter(|it| it.starts_with(start)).collect()
}

#[test]
fn every_event_has_its_row_of_whether_to_wake_somebody() {
    let events = variants(include_str!("../../src/model/event.rs"), "Event");
    assert!(events.len() > 25, "{events:?}");
    let rows = OBSERVABILITY
        .lines()
        .filter(|line| line.starts_with("| [`"));
    let first_cells: String = rows.map(|row| row.split(" | ").next().unwrap()).collect();
    for event in events {
        let link = format!("[`{event}`](crate::Event::{event})");
        assert_eq!(first_cells.matches(&link).count(), 1, "{event}");
    }
}

#[test]
fn every_kind_of_error_has_its_row_of_what_to_do() {
    let kinds = variants(include_str!("../../src/error/kind.rs"), "ErrorKind");
    let rows = TROUBLESHOOTING
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<_> = rows.map(|row| row.split('`').next().unwrap()).collect();
    assert_eq!(documented, kinds);
}

#[test]
fn every_variable_has_its_row() {
    let source = include_str!("../../src/config/env.rs");
    let variables = source.split("const VARIABLES").nth(1).unwrap();
    let variables = variables.split("];").next().unwrap().split('"');
    let variables: BTreeSet<_> = variables.filter(|it| it.starts_with("SIPHER_")).collect();
    assert!(variables.len() > 25, "{variables:?}");
    let mut documented = quoted(CONFIGURATION, "SIPHER_");
    assert!(documented.remove("SIPHER_CHIAN"));
    assert_eq!(documented, variables);
}

#[test]
fn every_metric_that_an_alert_names_is_there_with_its_labels() {
    let documented = include_str!("../../src/observability.rs");
    let names = OBSERVABILITY
        .split(|c: char| !(c.is_ascii_lowercase() || c == '_'))
        .filter(|word| word.starts_with("sipher_session_"));
    let names: BTreeSet<_> = names.collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        assert!(documented.contains(&format!("`{name}`")), "{name}");
    }
    let values = OBSERVABILITY.split("=\"").skip(1);
    for value in values.map(|rest| rest.split('"').next().unwrap()) {
        assert!(documented.contains(&format!("`{value}`")), "{value}");
    }
}

#[test]
fn its_measurements_are_those_that_were_taken_last() {
    let measured = include_str!("../../docs/performance/results.md");
    let has = |numbers: [&str; 2]| {
        let cells = |row: &str| {
            row.split('|')
                .map(|it| it.trim().to_owned())
                .collect::<Vec<_>>()
        };
        let mut rows = measured.lines().map(cells);
        rows.any(|row| {
            numbers
                .iter()
                .all(|number| row.iter().any(|cell| cell == number))
        })
    };
    let table = PERFORMANCE.split_once("| | ns | instructions |").unwrap().1;
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let mut compared = 0;
    for row in rows {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        assert!(has([cells[2], cells[3]]), "{row}");
        compared += 1;
    }
    assert!(compared > 5, "{compared}");
}
