//! Everything that the pages name exists.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const CONTRIBUTING: &str = include_str!("../../CONTRIBUTING.md");
const README: &str = include_str!("../../README.md");
const RECIPES: &str = include_str!("../../src/guide/recipes.md");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

#[test]
fn the_readme_is_read_in_one_go_and_names_no_page_that_is_not_there() {
    assert!(README.lines().count() <= 150, "{}", README.lines().count());
    let links = README.split("](").skip(1);
    let links = links.map(|rest| rest.split([')', '#']).next().unwrap());
    let mut pages = 0;
    for link in links {
        let page = link.strip_prefix("https://docs.rs/sipher-session/latest/sipher_session/guide/");
        if let Some(page) = page.map(|page| page.trim_end_matches('/')) {
            let file = root().join(format!("src/guide/{page}.md"));
            assert!(page.is_empty() || file.exists(), "{link}");
            pages += 1;
        } else if !link.starts_with("https://") {
            assert!(root().join(link).exists(), "{link}");
        }
    }
    let files = fs::read_dir(root().join("src/guide")).unwrap();
    assert!(
        pages > files.count() - 3,
        "{pages}: is a page of the guide left out?"
    );
}

#[test]
fn every_example_has_its_row() {
    for file in fs::read_dir(root().join("examples")).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap();
        assert!(RECIPES.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn every_file_that_contributing_names_is_there() {
    let quoted = CONTRIBUTING.split('`').skip(1).step_by(2);
    let words = quoted.flat_map(str::split_whitespace);
    let folders = [".ci/", "benches/", "docs/", "fuzz/", "src/", "tests/"];
    let paths = words.filter(|word| folders.iter().any(|folder| word.starts_with(folder)));
    let paths: BTreeSet<_> = paths.collect();
    assert!(paths.len() > 30, "{paths:?}");
    for path in paths {
        // These folders are not in the published package.
        let is_packaged = [".ci/", "benches/", "fuzz/"]
            .iter()
            .all(|it| !path.starts_with(it));
        if is_packaged || root().join(".ci").exists() {
            assert!(root().join(path).exists(), "{path}");
        }
    }
}

#[test]
fn every_check_can_be_run_alone() {
    // The published package does not contain this file.
    let Ok(run) = fs::read_to_string(root().join(".ci/run")) else {
        return;
    };
    let steps = run
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("step \""));
    let steps = steps.map(|rest| rest.split('"').next().unwrap());
    let set_up = [
        "a C compiler",
        "a Redis server",
        "Python",
        "rustfmt and clippy",
        "what ran beside",
    ];
    for step in steps.filter(|step| !set_up.contains(step)) {
        assert!(CONTRIBUTING.contains(&format!("| {step} | `")), "{step}");
    }
}
