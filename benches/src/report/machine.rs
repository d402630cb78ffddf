//! The machine and the versions of a measurement.

use std::{fs, process::Command, thread};

const LOCK: &str = include_str!("../../Cargo.lock");
const NAMED: [&str; 14] = [
    "http",
    "tower",
    "tower-http",
    "moka",
    "tokio",
    "hyper",
    "hyper-util",
    "reqwest",
    "reqwest-middleware",
    "kube-client",
    "aws-smithy-runtime",
    "azure_core",
    "google-cloud-auth",
    "allocation-counter",
];

pub fn description() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, name)| name);
    let cores = thread::available_parallelism().map_or(0, Into::into);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc = rustc
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default();
    let versions: Vec<_> = NAMED.iter().flat_map(|name| versions(name)).collect();
    format!(
        "{model}, {cores} cores, Linux {}; {rustc}, release, thin LTO, one codegen unit.\n\n{}.\n",
        kernel.trim(),
        versions.join(", ")
    )
}

fn versions(name: &str) -> Vec<String> {
    let package = format!("name = \"{name}\"\nversion = \"");
    let found = LOCK.split(&package).skip(1);
    found
        .filter_map(|rest| Some(format!("{name} {}", rest.split_once('"')?.0)))
        .collect()
}
