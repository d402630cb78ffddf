//! Checks that the tests can fail. Faults are put into the source one by one, and for each fault a test must fail.
//!
//! ```text
//! cargo test --test mutations                            each still fits the source, and is in the documentation
//! cargo test --test mutations -- --ignored               and is found, by its seed or test
//! MUTATION=a_word_of_a_name,another cargo test --test mutations -- --ignored
//! MUTATION_SEEDS=2000 cargo test --test mutations -- --ignored      finds seeds, where they are not right any more
//! ```

#![allow(clippy::unwrap_used)] // if the set-up fails, the test fails

mod big_fleets;
mod by_hand;
mod by_test;
mod errors;
mod evidence;
mod fleets;
mod inline;
mod list;
mod merge;
mod presence;
mod tenants;

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use big_fleets::OF_BIG_FLEETS;
use by_hand::BY_HAND;
use by_test::BY_TEST;
use errors::OF_ERRORS;
use evidence::OF_EVIDENCE;
use fleets::OF_FLEETS;
use inline::OF_INLINE;
use list::{By, MUTATIONS, Mutation};
use merge::OF_MERGE;
use presence::OF_PRESENCE;
use tenants::OF_TENANTS;

fn mutations() -> impl Iterator<Item = &'static Mutation> + Clone {
    let fleets = OF_FLEETS.iter().chain(OF_BIG_FLEETS);
    let by_one = BY_TEST
        .iter()
        .chain(OF_EVIDENCE)
        .chain(OF_PRESENCE)
        .chain(BY_HAND)
        .chain(OF_ERRORS)
        .chain(OF_TENANTS);
    let bodies = OF_INLINE.iter().chain(OF_MERGE);
    MUTATIONS.iter().chain(fleets).chain(by_one).chain(bodies)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Mutation {
    /// Returns the source with the fault in it.
    fn apply(&self) -> String {
        let source = fs::read_to_string(root().join(self.file)).unwrap();
        let times = source.matches(self.old).count();
        assert_eq!(
            times, 1,
            "{}: {} has it {times} times",
            self.name, self.file
        );
        source.replace(self.old, self.new)
    }
}

#[test]
fn every_mutation_fits_the_source_and_is_documented() {
    let docs = fs::read_to_string(root().join("docs/testing.md")).unwrap();
    for mutation in mutations() {
        assert_ne!(mutation.apply(), mutation.old);
        let Mutation {
            name,
            invariant,
            by,
            ..
        } = mutation;
        let by = match by {
            By::Life(seed) => seed.to_string(),
            By::Production(seed) => format!("{seed} in production"),
            By::Scenario(test) => format!("`{test}`"),
            By::Test { target, name } => {
                let is_there = sources(target).contains(&format!("fn {name}("));
                assert!(is_there, "{target} has no test {name}");
                format!("`{name}`")
            }
        };
        let row = format!("| {} | {invariant} | {by} |", name.replace('_', " "));
        assert!(docs.contains(&row), "docs/testing.md lacks: {row}");
    }
    let numbers = (1..=11).map(|n| format!("I{n}"));
    for invariant in numbers {
        let attacks =
            |mutation: &&Mutation| mutation.invariant.split(' ').any(|of| of == invariant);
        assert!(
            mutations().any(|m| attacks(&m)),
            "nothing attacks {invariant}"
        );
    }
}

#[test]
#[ignore = "builds the crate once for each"]
fn every_mutation_is_killed_by_its_seed() {
    let crate_copy = Copy::new();
    let seeds = env::var("MUTATION_SEEDS").ok();
    let only = env::var("MUTATION").unwrap_or_default();
    for lives in [LIVES, FLEETS] {
        crate_copy
            .passes(lives.target, "whatever_happens", Some((lives.seeds, "20")))
            .expect("without a fault all is well");
    }
    let is_meant = |mutation: &&Mutation| only.split(',').any(|word| mutation.name.contains(word));
    let mutations = mutations().filter(is_meant);
    for mutation in mutations.clone() {
        if let By::Test { target, name } = mutation.by {
            crate_copy
                .passes(&arguments(target), name, None)
                .expect("without a fault all is well");
        }
    }
    let mut survivors = Vec::new();
    for mutation in mutations {
        let path = crate_copy.0.join(mutation.file);
        let original = fs::read(&path).unwrap();
        fs::write(&path, mutation.apply()).unwrap();
        let outcome = match mutation.by {
            By::Life(seed) => {
                let seed = seed.to_string();
                let which = match &seeds {
                    Some(seeds) => (LIVES.seeds, seeds.as_str()),
                    None => (LIVES.seed, seed.as_str()),
                };
                crate_copy.passes(LIVES.target, "whatever_happens", Some(which))
            }
            By::Production(seed) => {
                let seed = seed.to_string();
                let which = [("SIM_PRODUCTION", "1"), (LIVES.seed, seed.as_str())];
                crate_copy.passes(LIVES.target, "whatever_happens", which)
            }
            By::Scenario(test) => crate_copy.passes(FLEETS.target, test, None),
            By::Test { target, name } => crate_copy.passes(&arguments(target), name, None),
        };
        match outcome {
            Ok(()) => survivors.push(mutation.name),
            Err(why) => println!(
                "killed: {} ({})\n{}",
                mutation.name,
                mutation.invariant,
                why.trim_end()
            ),
        }
        fs::write(&path, original).unwrap();
    }
    assert!(
        survivors.is_empty(),
        "these faults were not found: {survivors:#?}"
    );
}

/// How long a test may run, in tenths of a second. Long enough for a build and many simulated lives.
const PATIENCE: u32 = 6_000;

/// A test target that draws lives from seeds.
#[derive(Clone, Copy)]
struct Lives {
    target: &'static [&'static str],
    /// The variable that selects one seed.
    seed: &'static str,
    /// The variable that sets the number of seeds.
    seeds: &'static str,
}

const LIVES: Lives = Lives {
    target: &["--test", "simulation"],
    seed: "SIM_SEED",
    seeds: "SIM_SEEDS",
};
const FLEETS: Lives = Lives {
    target: &["--features", "store,testing", "--test", "fleet"],
    seed: "FLEET_SEED",
    seeds: "FLEET_SEEDS",
};

/// Returns the arguments with which cargo runs the tests of a target.
fn arguments(target: &'static str) -> Vec<&'static str> {
    match target {
        "lib" => vec!["--all-features", "--lib"],
        target => vec!["--all-features", "--test", target],
    }
}

/// Returns the sources of a target, concatenated.
fn sources(target: &str) -> String {
    fn read(path: &Path) -> String {
        if !path.is_dir() {
            return fs::read_to_string(path).unwrap();
        }
        let entries = fs::read_dir(path).unwrap();
        entries.map(|entry| read(&entry.unwrap().path())).collect()
    }
    let file = root().join(format!("tests/{target}.rs"));
    match target {
        "lib" => read(&root().join("src")),
        _ if file.exists() => read(&file),
        _ => read(&root().join("tests").join(target)),
    }
}

/// A copy of the crate, into which faults can be put.
struct Copy(PathBuf);

impl Copy {
    fn new() -> Self {
        let to = root().join("target/mutations");
        for part in [
            "src",
            "tests",
            "examples",
            "README.md",
            "Cargo.toml",
            "Cargo.lock",
            "docs",
        ] {
            // Files that were removed here must not stay in the copy.
            let _ = fs::remove_dir_all(to.join(part));
            copy(&root().join(part), &to.join(part));
        }
        Self(to)
    }

    /// Runs a test, with an environment variable that selects the lives. A failure is returned as the error. Panics if
    /// the copy does not build.
    fn passes<'a>(
        &self,
        target: &[&str],
        test: &str,
        which: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), String> {
        let mut lives_on = Command::new(env!("CARGO"))
            .args(["test", "--quiet"])
            .args(target)
            .arg(test)
            .current_dir(&self.0)
            .envs(which)
            .env("CARGO_TARGET_DIR", self.0.join("target"))
            .env("RUST_BACKTRACE", "0")
            .stdout(File::create(self.0.join("said")).unwrap())
            .stderr(File::create(self.0.join("warned")).unwrap())
            .spawn()
            .unwrap();
        let mut patience = PATIENCE;
        let status = loop {
            if let Some(status) = lives_on.try_wait().unwrap() {
                break status;
            }
            if patience == 0 {
                lives_on.kill().unwrap();
                lives_on.wait().unwrap();
                return Err("it does not end".to_owned());
            }
            patience -= 1;
            thread::sleep(Duration::from_millis(100));
        };
        let read = |name| fs::read_to_string(self.0.join(name)).unwrap();
        let (said, warned) = (read("said"), read("warned"));
        if status.success() {
            return Ok(());
        }
        let all = format!("{said}\n{warned}");
        assert!(
            !all.contains("error: could not compile"),
            "it does not build:\n{warned}"
        );
        let broken: Vec<_> = all
            .lines()
            .filter(|line| is_verdict(line))
            .take(5)
            .collect();
        Err(broken.join("\n"))
    }
}

/// Whether the line names a broken invariant, as in `I1: …`, also after `seed 5: ` or `request 7: `.
fn is_verdict(line: &str) -> bool {
    let mut words = line.split([' ', ':']).take(8);
    words.any(|word| {
        word.strip_prefix('I')
            .is_some_and(|n| n.parse::<u8>().is_ok())
    }) || line.contains("proves")
        || line.contains("was sent twice")
        || line.contains("panicked at")
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else if fs::read(from).ok() != fs::read(to).ok() {
        fs::copy(from, to).unwrap();
    }
}
