//! The tables of the module `observability`, against the code and what it emits.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    DOCS,
    emitted::{Emitted, Labels},
};

const LINES: &str = include_str!("../../src/driver/log/line.rs");
const SPANS: &str = include_str!("../../src/driver/log.rs");
/// What the macros add to a line about a session, and to one about an error.
const OF_SESSIONS: [&str; 3] = ["session", "generation", "api_key"];
const OF_ERRORS: &str = "those of the error";

type Words = BTreeSet<String>;

/// The cells of the rows of the table under a heading.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let section = DOCS.split_once(&format!("//! # {heading}\n")).unwrap().1;
    let lines = section
        .lines()
        .skip_while(|line| !line.starts_with("//! |"));
    let lines = lines.skip(2).take_while(|line| line.starts_with("//! |"));
    let cells = |line: &str| {
        line.split('|')
            .skip(1)
            .map(|it| it.trim().to_owned())
            .collect()
    };
    lines.map(cells).collect()
}

/// What stands between backticks.
fn quoted(text: &str) -> Words {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// The fields that a cell names: what stands in brackets explains one, and so does what follows a colon.
fn fields(cell: &str) -> Words {
    let mut outside = String::new();
    let mut depth = 0;
    for c in cell.chars() {
        depth += i32::from(c == '(');
        if depth == 0 {
            outside.push(c);
        }
        depth -= i32::from(c == ')');
    }
    let explained = outside
        .split(';')
        .map(|part| part.split(':').next().unwrap());
    explained.flat_map(quoted).collect()
}

/// A call of a macro that logs.
#[derive(Debug, Default)]
struct Line {
    levels: Words,
    fields: Words,
    has_error: bool,
}

/// What is between the brackets that this text starts with, cut at its commas.
fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut in_text, mut all) = (0, false, vec![String::new()]);
    for c in text.chars() {
        in_text ^= c == '"';
        depth += i32::from("([{".contains(c) && !in_text);
        depth -= i32::from(")]}".contains(c) && !in_text);
        match c {
            _ if depth == 0 => break,
            ',' if depth == 1 && !in_text => all.push(String::new()),
            '(' if depth == 1 && all.len() == 1 && all[0].is_empty() => {}
            c => all.last_mut().unwrap().push(c),
        }
    }
    all.retain(|argument| !argument.trim().is_empty());
    all.iter().map(|it| it.trim().to_owned()).collect()
}

/// The name of a field, from `name = value` or `name`.
fn name(argument: impl AsRef<str>) -> String {
    argument.as_ref().split(" =").next().unwrap().to_owned()
}

/// The lines of the code, by their messages.
fn lines() -> BTreeMap<String, Line> {
    let mut lines = BTreeMap::<String, Line>::new();
    let (_, code) = LINES.split_once("pub(super) fn event(").unwrap();
    for (call, own) in [("log!", 2), ("log_session!", 3), ("log_error!", 3)] {
        for rest in code.split(&format!("{call}(")).skip(1) {
            let arguments = arguments(&format!("({rest}"));
            let line = lines.entry(arguments[1].trim_matches('"').to_owned());
            let line = line.or_default();
            line.levels.insert(arguments[0].to_lowercase());
            line.fields.extend(arguments.iter().skip(own).map(name));
            line.has_error |= call == "log_error!";
            if call == "log_session!" {
                line.fields.extend(OF_SESSIONS.map(str::to_owned));
            }
        }
    }
    lines
}

#[test]
fn every_line_of_the_log_has_its_row_with_its_levels_and_fields() {
    let lines = lines();
    let mut documented = BTreeSet::new();
    for row in rows("Logs") {
        let [messages, levels, fields_of_row] = [&row[0], &row[1], &row[2]];
        for message in quoted(messages) {
            let Some(line) = lines.get(&message) else {
                panic!("{message}: no such line");
            };
            for level in line.levels.iter().filter(|it| *it != "$level") {
                assert!(levels.contains(level.as_str()), "{message}: {level}");
            }
            for level in ["debug", "info", "warn"] {
                let is_told = line.levels.contains(level) || line.levels.contains("$level");
                assert!(is_told || !levels.contains(level), "{message}: {level}");
            }
            assert_eq!(fields(fields_of_row), line.fields, "{message}");
            let has_error = fields_of_row.contains(OF_ERRORS);
            assert_eq!(has_error, line.has_error, "{message}");
            documented.insert(message);
        }
    }
    assert!(documented.len() > 25, "{documented:?}");
    assert_eq!(documented, lines.into_keys().collect::<BTreeSet<_>>());
}

#[test]
fn every_field_of_an_error_is_explained() {
    let code = LINES.split_once("macro_rules! log_error {").unwrap().1;
    let code = code.split("\n}").next().unwrap();
    let fields = code
        .lines()
        .filter_map(|line| line.trim().split_once(" = $error"));
    let fields: Words = fields.map(|(field, _)| field.to_owned()).collect();
    assert_eq!(fields.len(), 7, "{fields:?}");
    let table = DOCS.split_once("//! | field | what it is |").unwrap().1;
    let cells = table
        .lines()
        .skip(2)
        .filter_map(|line| line.split('|').nth(1));
    let explained: Words = cells.flat_map(quoted).collect();
    assert!(explained.is_superset(&fields), "{explained:?}");
}

#[test]
fn every_span_has_its_row_with_its_fields() {
    let spans = SPANS.split("info_span!(").skip(1).map(|rest| {
        let arguments = arguments(&format!("({rest}"));
        let is_name = |it: &&String| it.starts_with('"');
        let name_of_span = arguments.iter().find(is_name).unwrap();
        let after = arguments.iter().skip_while(|it| !is_name(it)).skip(1);
        let fields: Words = after.map(name).collect();
        (name_of_span.trim_matches('"').to_owned(), fields)
    });
    let spans: BTreeMap<_, _> = spans.collect();
    let row = |row: Vec<String>| (row[0].trim_matches('`').to_owned(), fields(&row[2]));
    let documented: BTreeMap<_, _> = rows("Spans").into_iter().map(row).collect();
    assert_eq!(spans.len(), 3);
    assert_eq!(documented, spans);
}

#[tokio::test(start_paused = true)]
async fn every_metric_has_its_row_with_its_type_and_the_values_of_its_labels() {
    let emitted = Emitted::now().await;
    let mut documented = BTreeMap::new();
    for row in rows("Metrics") {
        let name = row[0].trim_matches('`').to_owned();
        if row[1] != "histogram" {
            assert_eq!(labels(&name, &row[2]), emitted.series[&name], "{name}");
        }
        documented.insert(name, row[1].clone());
    }
    assert_eq!(documented, emitted.metrics);
}

/// The labels of a metric, as its cell tells them or the section that it points to.
fn labels(name: &str, cell: &str) -> Labels {
    let Some((label, values)) = cell.split_once(": ") else {
        assert!(cell.is_empty(), "{name}: {cell}");
        return Labels::new();
    };
    let values = if values.contains("#reasons") {
        reasons(name)
    } else {
        quoted(values)
    };
    [(label.trim_matches('`').to_owned(), values)].into()
}

fn reasons(metric: &str) -> Words {
    let section = DOCS.split_once("//! # Reasons\n").unwrap().1;
    let section = section.split("//! # ").next().unwrap();
    let (of_sessions, of_bodies) = section.split_once("//! Those of ").unwrap();
    let list = if metric.contains("not_inlined") {
        of_bodies
    } else {
        of_sessions
    };
    quoted(list.split_once(")s: ").unwrap().1)
}
