//! Compares the table at the top of `main.rs` with the tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Returns for each row its number, the tests that it names, and whether it refers to other files.
fn rows() -> Vec<(u32, Vec<String>, bool)> {
    let lines = include_str!("main.rs").lines();
    let rows = lines.filter_map(|line| {
        let mut cells = line.strip_prefix("//! |")?.split('|').map(str::trim);
        let (number, _, tests) = (cells.next()?.parse().ok()?, cells.next()?, cells.next()?);
        let names = tests.split('`').skip(1).step_by(2).map(String::from);
        Some((number, names.collect(), tests.contains("see tests/")))
    });
    rows.collect()
}

fn source(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the tests of a source, with the text above each.
fn tests_in(source: &str) -> BTreeMap<String, String> {
    let mut above = String::new();
    let mut tests = BTreeMap::new();
    for line in source.lines() {
        let name = line
            .strip_prefix("async fn ")
            .or_else(|| line.strip_prefix("fn "))
            .and_then(|rest| rest.split(['(', '<']).next());
        if let Some(name) = name {
            if above.contains("#[test]") || above.contains("#[tokio::test") {
                tests.insert(name.to_owned(), above.clone());
            }
            above.clear();
        } else if line.starts_with("///") || line.starts_with("#[") {
            above += line;
            above.push('\n');
        } else {
            above.clear();
        }
    }
    tests
}

#[test]
fn every_pain_has_a_row_and_every_row_a_test() {
    let rows = rows();
    let numbers: Vec<_> = rows.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=29).collect::<Vec<_>>());
    for (number, names, elsewhere) in &rows {
        assert!(
            !names.is_empty() || *elsewhere,
            "row {number} names no test"
        );
    }
}

#[test]
fn every_test_that_a_row_names_is_there_and_says_which_pain_it_is() {
    for (number, names, _) in rows() {
        for name in names {
            let (file, test) = name.split_once("::").expect("file::test");
            let is_here = !file.starts_with("tests/");
            let path = if is_here {
                format!("tests/pains/{file}.rs")
            } else {
                file.to_owned()
            };
            let tests = tests_in(&source(&path));
            let above = tests
                .get(test)
                .unwrap_or_else(|| panic!("row {number}: no test {test} in {path}"));
            let said = above
                .split_once(&format!("/// Pain {number}"))
                .map(|(_, rest)| rest);
            let said = said.is_some_and(|rest| rest.starts_with([':', ',']));
            assert!(said || !is_here, "row {number}: {test} says otherwise");
        }
    }
}

#[test]
fn every_test_here_is_in_the_table() {
    let named: BTreeSet<_> = rows().into_iter().flat_map(|(_, names, _)| names).collect();
    for file in [
        "callers", "ending", "failures", "lost", "renewal", "secrets", "tenants", "tower",
    ] {
        let tests = tests_in(&source(&format!("tests/pains/{file}.rs")));
        assert!(!tests.is_empty(), "{file}");
        for test in tests.keys() {
            assert!(
                named.contains(&format!("{file}::{test}")),
                "{file}::{test} is in no row"
            );
        }
    }
}
