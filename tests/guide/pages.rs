//! What the pages name is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

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
