//! The environment that a machine provides: proxies, certificates, runtimes. A test that depends on environment
//! variables runs in a process of its own.
#![allow(clippy::unwrap_used)] // for the helper functions

mod certificates;
mod proxy;

use std::{env, process::Command};

/// Runs an ignored test in a process of its own, with these environment variables.
#[track_caller]
fn run_with(variables: &[(&str, &str)], test: &str) {
    let run = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    let complained = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}{complained}");
    assert!(said.contains("1 passed"), "no such test: {test}");
}
