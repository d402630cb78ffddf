//! Compares the pages on security, architecture and dependencies with the code.

use std::{collections::BTreeSet, fs, path::Path};

const ERRORS: &str = include_str!("../../src/error/kind.rs");
const EVENTS: &str = include_str!("../../src/model/event.rs");
const MANAGER: &str = include_str!("../../src/front/manager.rs");
const ARCHITECTURE: &str = include_str!("../../ARCHITECTURE.md");
const SECURITY: &str = include_str!("../../SECURITY.md");
const DEPENDENCIES: &str = include_str!("../../docs/dependencies.md");
const MANIFEST: &str = include_str!("../../Cargo.toml");

fn sources(path: &Path) -> String {
    if path.is_file() {
        return fs::read_to_string(path).unwrap();
    }
    let entries = fs::read_dir(path).unwrap_or_else(|_| panic!("{} is not there", path.display()));
    entries
        .map(|entry| sources(&entry.unwrap().path()))
        .collect()
}

#[test]
fn every_threat_names_tests_that_exist() {
    let rows: Vec<_> = SECURITY
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(2)
        .collect();
    assert!(rows.len() > 12, "{rows:#?}");
    for row in rows {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let mut named = 0;
        for group in tests.split("; ") {
            let mut quoted = group.split('`').skip(1).step_by(2);
            let source =
                sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(quoted.next().unwrap()));
            for name in quoted {
                assert!(
                    source.contains(&format!("fn {name}()")),
                    "{name} is not there: {row}"
                );
                named += 1;
            }
        }
        assert!(named > 0, "{row}");
    }
}

#[test]
fn every_file_that_the_architecture_names_exists_and_every_room_is_named() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named: BTreeSet<_> = ARCHITECTURE
        .split('`')
        .filter(|it| it.starts_with("src/"))
        .collect();
    assert!(named.len() > 30, "{named:#?}");
    for path in named {
        assert!(root.join(path).exists(), "{path}");
    }
    for room in ["model", "hot", "engine", "driver", "front"] {
        assert!(ARCHITECTURE.contains(&format!("| `{room}` |")), "{room}");
        let files = fs::read_dir(root.join("src").join(room)).unwrap();
        let list = fs::read_to_string(root.join("src").join(room).join("mod.rs")).unwrap();
        let docs: String = list
            .lines()
            .filter(|line| line.starts_with("//!"))
            .collect();
        for file in files {
            let file = file.unwrap().path();
            let name = file.file_stem().unwrap().to_str().unwrap();
            assert!(
                name == "mod" || docs.contains(&format!("`{name}`")),
                "{room}: {name}"
            );
        }
    }
}

#[test]
fn every_direct_dependency_has_its_reason() {
    let manifest: toml::Table = MANIFEST.parse().unwrap();
    let targets = manifest["target"].as_table().unwrap().values();
    let everywhere = manifest["dependencies"].as_table().unwrap();
    let there = targets.filter_map(|target| target["dependencies"].as_table());
    let needed = there.chain([everywhere]).flat_map(toml::Table::keys);
    let needed: BTreeSet<_> = needed.cloned().collect();
    let rows = DEPENDENCIES
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    let reasons = rows.filter_map(|row| row.split_once("` | "));
    let explained: BTreeSet<_> = reasons
        .filter(|(_, reason)| reason.chars().any(char::is_alphabetic))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(
        explained, needed,
        "in docs/dependencies.md, and in Cargo.toml"
    );
}

#[test]
fn every_feature_is_in_both_tables_and_said_to_be_on_where_it_is() {
    let manifest: toml::Table = MANIFEST.parse().unwrap();
    let features = manifest["features"].as_table().unwrap();
    let default = features["default"].as_array().unwrap();
    let is_on = |name: &str| default.iter().any(|on| on.as_str() == Some(name));
    let names = features.keys().filter(|name| *name != "default");
    let expected: BTreeSet<_> = names.map(|name| (name.clone(), is_on(name))).collect();
    let tables = [
        ("src/lib.rs", "//! | feature | default | |"),
        ("README.md", "| feature | default | |"),
    ];
    for (file, head) in tables {
        let text = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
        let table = text.split_once(head).unwrap().1.lines().skip(2);
        let rows = table.map(|row| row.trim_start_matches("//!").trim());
        let rows = rows.take_while(|row| row.starts_with("| `"));
        let documented: BTreeSet<_> = rows
            .map(|row| {
                let cells: Vec<_> = row.split('|').map(str::trim).collect();
                assert!(cells[3].len() > 15, "{file}: {row}");
                (cells[1].trim_matches('`').to_owned(), cells[2] == "yes")
            })
            .collect();
        assert_eq!(documented, expected, "in {file}, and in Cargo.toml");
    }
}

/// Returns the documentation of a method of the manager.
fn docs_of(method: &str) -> &'static str {
    let before = MANAGER.split(&format!("pub async fn {method}(")).next();
    before.unwrap().rsplit("\n\n").next().unwrap()
}

#[test]
fn every_kind_of_error_that_a_session_can_fail_with_is_documented() {
    let kinds = ERRORS.split("pub enum ErrorKind {").nth(1).unwrap();
    let kinds = kinds.split("\n}").next().unwrap().lines();
    let kinds = kinds.filter_map(|line| line.trim().strip_suffix(','));
    // No call for a session fails with these. They come from `build`, from a look-up of a session, and from an answer that was read.
    let elsewhere = ["Config", "NotFound", "WrongDefaults"];
    let of_requests = ["InvalidRequest"];
    let mut named = 0;
    for kind in kinds.filter(|kind| !kind.starts_with("//")) {
        let link = format!("(crate::ErrorKind::{kind})");
        let expected = !(elsewhere.contains(&kind) || of_requests.contains(&kind));
        assert_eq!(docs_of("session").contains(&link), expected, "{kind}");
        let expected = of_requests.contains(&kind);
        assert_eq!(docs_of("apply").contains(&link), expected, "{kind}");
        named += 1;
    }
    assert!(named > 15, "{named}");
}

#[test]
fn every_event_says_whether_to_wake_somebody() {
    let events = EVENTS.split("pub enum Event {").nth(1).unwrap();
    let events = events.split("\n}").next().unwrap();
    let (mut docs, mut variants) = (String::new(), 0);
    for line in events.lines() {
        let is_variant = line
            .strip_prefix("    ")
            .is_some_and(|rest| rest.starts_with(char::is_uppercase) && rest.ends_with(['{', ',']));
        if is_variant {
            assert!(docs.contains("/// Wake somebody: "), "{line}");
            (docs, variants) = (String::new(), variants + 1);
        }
        docs += line;
    }
    assert!(variants > 25, "{variants}");
}
