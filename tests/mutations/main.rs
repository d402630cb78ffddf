//! Whether the simulations can fail: faults are put into the source one by one, and each has to be found.
//!
//! ```text
//! cargo test --test mutations                            each still fits the source, and is in the documentation
//! cargo test --test mutations -- --ignored               and is found, by its seed or test
//! MUTATION=a_word_of_a_name cargo test --test mutations -- --ignored
//! MUTATION_SEEDS=2000 cargo test --test mutations -- --ignored      finds seeds, where they are not right any more
//! ```

#![allow(clippy::unwrap_used)] // what cannot be set up is a failure

mod fleets;
mod list;

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use fleets::OF_FLEETS;
use list::{By, MUTATIONS, Mutation};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Mutation {
    /// The source with the fault in it.
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

fn all() -> impl Iterator<Item = &'static Mutation> {
    MUTATIONS.iter().chain(OF_FLEETS)
}

#[test]
fn every_mutation_fits_the_source_and_is_documented() {
    let docs = fs::read_to_string(root().join("docs/testing.md")).unwrap();
    for mutation in all() {
        assert_ne!(mutation.apply(), mutation.old);
        let Mutation {
            name,
            invariant,
            by,
            ..
        } = mutation;
        let by = match by {
            By::Life(seed) => seed.to_string(),
            By::Scenario(test) => format!("`{test}`"),
        };
        let row = format!("| {} | {invariant} | {by} |", name.replace('_', " "));
        assert!(docs.contains(&row), "docs/testing.md lacks: {row}");
    }
    let numbers = (1..=11).map(|n| format!("I{n}"));
    for invariant in numbers {
        let attacks =
            |mutation: &&Mutation| mutation.invariant.split(' ').any(|of| of == invariant);
        assert!(all().any(|m| attacks(&m)), "nothing attacks {invariant}");
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
            .passes(lives, "whatever_happens", &[(lives.seeds, "20")])
            .expect("without a fault all is well");
    }
    let mut survivors = Vec::new();
    for mutation in all().filter(|mutation| mutation.name.contains(&only)) {
        let path = crate_copy.0.join(mutation.file);
        let original = fs::read(&path).unwrap();
        fs::write(&path, mutation.apply()).unwrap();
        let (lives, seed, test) = match mutation.by {
            By::Life(seed) => (LIVES, Some(seed.to_string()), "whatever_happens"),
            By::Scenario(test) => (FLEETS, None, test),
        };
        let which = match (&seed, &seeds) {
            (Some(_), Some(seeds)) => Some((lives.seeds, seeds.as_str())),
            (Some(seed), None) => Some((lives.seed, seed.as_str())),
            (None, _) => None,
        };
        match crate_copy.passes(lives, test, which.as_slice()) {
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

/// In tenths of a second: a build and many lives.
const PATIENCE: u32 = 6_000;

/// Where lives are drawn from seeds.
#[derive(Clone, Copy)]
struct Lives {
    target: &'static [&'static str],
    /// Names one.
    seed: &'static str,
    /// Says how many.
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

/// The crate in a place of its own, where it can be spoilt.
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
            // What is gone here is gone there.
            let _ = fs::remove_dir_all(to.join(part));
            copy(&root().join(part), &to.join(part));
        }
        Self(to)
    }

    /// Runs lives; what they broke, or that it was not even built, is the error.
    fn passes(&self, lives: Lives, test: &str, which: &[(&str, &str)]) -> Result<(), String> {
        let mut lives_on = Command::new(env!("CARGO"))
            .args(["test", "--quiet"])
            .args(lives.target)
            .arg(test)
            .current_dir(&self.0)
            .envs(which.iter().copied())
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

/// `I1: …`, also after `seed 5: ` or `request 7: `.
fn is_verdict(line: &str) -> bool {
    let mut words = line.split([' ', ':']).take(8);
    words.any(|word| {
        word.strip_prefix('I')
            .is_some_and(|n| n.parse::<u8>().is_ok())
    }) || line.contains("proves")
        || line.contains("was sent twice")
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
