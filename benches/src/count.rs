//! Counts instructions with callgrind. The counts have no noise, and are the same on a busy machine.

use std::{
    env,
    io::{Error, Result},
    process::Command,
};

use crate::{
    cases,
    lane::{BATCH, timed_section},
};

/// Runs batches of one case. Called in a process that runs under callgrind.
pub fn batches(name: &str, n: usize) {
    #[cfg(feature = "peers")]
    let _runtime = crate::peers::enter();
    let mut lane = (cases::named(name).lane)();
    for _ in 0..n {
        timed_section(&mut *lane);
        lane.reset();
    }
}

/// Returns the instructions per call. Takes the difference of two runs, so that work that is done once cancels out.
///
/// # Errors
///
/// If valgrind is missing or does not print the count.
pub fn instructions(name: &str) -> Result<f64> {
    // Enough batches for moka's housekeeping to run as often as usual.
    let n = 64;
    let (once, twice) = (
        counted(&["batches", name], n)?,
        counted(&["batches", name], 2 * n)?,
    );
    Ok((twice - once) / (n * BATCH) as f64)
}

fn counted(args: &[&str], n: usize) -> Result<f64> {
    callgrind(
        args,
        n,
        &[
            "--collect-atstart=no",
            "--toggle-collect=*lane::timed_section*",
        ],
    )
}

/// Runs this program under callgrind.
///
/// # Errors
///
/// If valgrind is missing or does not print the count.
pub fn callgrind(args: &[&str], n: usize, options: &[&str]) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(options)
        .arg(env::current_exe()?)
        .args(args)
        .arg(n.to_string())
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let said = |line: &str| line.split_once("Collected : ")?.1.trim().parse().ok();
    match text.lines().find_map(said) {
        Some(count) if output.status.success() && count > 0.0 => Ok(count),
        _ => Err(Error::other(format!("callgrind of {args:?}: {text}"))),
    }
}
