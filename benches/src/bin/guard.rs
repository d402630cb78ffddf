//! Checks that a call costs no more than recorded. Compares counts and ratios of counts, never times.
//!
//! Reads `benches/cost.txt`, or writes it with `--write`.

use std::{
    collections::{HashMap, hash_map::Entry},
    env,
    error::Error,
    fs,
    process::ExitCode,
};

#[path = "shared/allocations.rs"]
mod allocations;

use allocations::allocations;
use sipher_session_benches::count;

/// The guarded cases, each with its anchor in the same binary.
const GUARDED: [(&str, &str); 10] = [
    ("hit", "set-header"),
    ("hit-key", "set-header"),
    ("hit-cloned", "set-header-cloned"),
    ("hit-extension", "set-header"),
    ("not-ours", "identity"),
    ("own-id", "set-header"),
    ("public", "identity"),
    ("middleware", "middleware-by-hand"),
    ("inline-no-body", "hit-no-body"),
    ("inline-not-ours", "not-ours"),
];
/// How far a cost may exceed the recorded one. Compilers differ a little.
const MARGIN: f64 = 1.08;
const THRESHOLDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/cost.txt");

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["batches", name, n] => count::batches(name, n.parse()?),
        ["--write"] => write()?,
        [] => return check(),
        _ => return Err("guard [--write]".into()),
    }
    Ok(ExitCode::SUCCESS)
}

struct Cost {
    ratio: f64,
    allocations: f64,
}

/// The instructions that have already been counted.
#[derive(Default)]
struct Counted(HashMap<String, f64>);

impl Counted {
    fn instructions(&mut self, case: &str) -> std::io::Result<f64> {
        Ok(match self.0.entry(case.to_owned()) {
            Entry::Occupied(counted) => *counted.get(),
            Entry::Vacant(new) => *new.insert(count::instructions(case)?),
        })
    }
}

/// Returns what a case costs now.
fn cost(counted: &mut Counted, case: &str, anchor: &str) -> Result<Cost, Box<dyn Error>> {
    let ratio = counted.instructions(case)? / counted.instructions(anchor)?;
    let own = allocations(case);
    // Subtract the boxes that reqwest-middleware itself allocates.
    let allocations = own - allocations(anchor);
    Ok(Cost { ratio, allocations })
}

fn write() -> Result<(), Box<dyn Error>> {
    let mut text = String::from(
        "# What a call costs beside an anchor: instructions by callgrind, and allocations more than the anchor's.\n\
         # Written by `benches/guard --write`, checked by `.ci/cost`.\n\
         # case anchor instructions-ratio allocations\n",
    );
    let mut counted = Counted::default();
    for (case, anchor) in GUARDED {
        let Cost { ratio, allocations } = cost(&mut counted, case, anchor)?;
        text += &format!("{case} {anchor} {ratio:.3} {allocations:.2}\n");
    }
    print!("{text}");
    fs::write(THRESHOLDS, text)?;
    Ok(())
}

fn check() -> Result<ExitCode, Box<dyn Error>> {
    let text = fs::read_to_string(THRESHOLDS)?;
    let mut counted = Counted::default();
    let mut failed = 0;
    let mut passed = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let [case, anchor, ratio, allocations] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("{THRESHOLDS}: `{line}` is not four words").into());
        };
        let (most, most_allocations) =
            (ratio.parse::<f64>()? * MARGIN, allocations.parse::<f64>()?);
        let now = cost(&mut counted, case, anchor)?;
        let good = now.ratio <= most && now.allocations <= most_allocations + 0.005;
        if good {
            passed += 1
        } else {
            failed += 1
        }
        println!(
            "{} {case}: {:.3} of {anchor}'s instructions, at most {most:.3}; {:.2} allocations, at most {allocations}",
            if good { "ok  " } else { "FAIL" },
            now.ratio,
            now.allocations,
        );
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 && passed == GUARDED.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
