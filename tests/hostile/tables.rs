//! What is written down about security, and must stay true.

use std::{collections::BTreeSet, fs, path::Path};

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
