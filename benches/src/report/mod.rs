//! Measures everything and writes a table and plots.

mod goals;
mod machine;
mod measured;
pub mod svg;

use std::{collections::HashMap, fmt::Write, fs, io::Result, path::Path};

use goals::{Goal, Spread};
use measured::Measured;
use svg::Bar;

use crate::growth::exponent;

/// Writes `results.md` and the plots. `weights` is the output of the program `weigh`.
///
/// # Errors
///
/// If something cannot be measured or written.
pub fn write(directory: &Path, weights: &str) -> Result<()> {
    let measured = Measured::new(weights)?;
    fs::create_dir_all(directory)?;
    let file = |name: &str, text: String| fs::write(directory.join(name), text);
    file("results.md", page(&measured))?;
    file("calls.svg", calls_plot(&measured))?;
    let [keys, constant, made] = &measured.with_keys;
    let flat = [
        (
            "a call, once so many have been made (ns)".to_owned(),
            &measured.calls[..],
        ),
        (
            "a call, with so many keys used evenly (ns)".to_owned(),
            keys,
        ),
        (
            "a constant header, with as many keys (ns)".to_owned(),
            constant,
        ),
    ];
    file(
        "flat.svg",
        svg::lines("What stays as it is", "calls made, or API keys", &flat),
    )?;
    let linear = [
        (
            "callers that wait for one create: all served (s)".to_owned(),
            &measured.waiting[0][..],
        ),
        ("API keys: all sessions made (s)".to_owned(), made),
    ];
    file(
        "linear.svg",
        svg::lines("What grows in proportion", "callers, or API keys", &linear),
    )
}

fn page(measured: &Measured) -> String {
    let mut page = format!(
        "# Measured\n\nWritten by `benches/run`. {}\nTimes are medians of three runs, in which all cases take turns; in brackets the \
         least and the most of them. Instructions are callgrind's; with it, none of 10,000 keys comes by twice in a second, and so each is looked up.\n\n## Goals\n\n{}\n",
        machine::description(),
        goals::table(&goals(measured))
    );
    page += "## A call\n\n| what | ns | ÷ `SetRequestHeader` | instructions | ÷ `SetRequestHeader` | 2 threads ÷ 1 |\n| --- | --- | --- | --- | --- | --- |\n";
    for case in &measured.cases {
        let name = case.name;
        let scale = measured
            .scale
            .get(name)
            .map_or(String::new(), Spread::to_string);
        let _ = writeln!(
            page,
            "| {} | {:.0} | {} | {:.0} | {:.2} | {scale} |",
            case.what,
            measured.nanos(name).median,
            measured.times(name, "set-header"),
            measured.instructions[name],
            measured.counts(name, "set-header"),
        );
    }
    page += "\n## What each guard costs\n\nDifferences of the rows above; what is done in one go, such as counting in flight, cannot be told apart from outside.\n\n| guard | instructions | ns | how |\n| --- | --- | --- | --- |\n";
    for (guard, more, less, how) in GUARDS {
        let (instructions, ns) = measured.difference(more, less);
        let _ = writeln!(page, "| {guard} | {instructions:.0} | {ns:.1} | {how} |");
    }
    page + "\n## Growth\n\n" + &growth(measured)
}

const GUARDS: [(&str, &str, &str, &str); 7] = [
    (
        "is it for Sipher's origin? (it is not)",
        "not-ours",
        "identity",
        "another origin − a layer that does nothing",
    ),
    (
        "is the path one that needs a session? (it is not)",
        "public",
        "not-ours",
        "public path − another origin",
    ),
    (
        "widened error, future that can wait",
        "identity",
        "bare",
        "a layer that does nothing − the inner service",
    ),
    (
        "expiry on both clocks",
        "hit",
        "hit-frozen",
        "hit − hit with a clock that costs nothing",
    ),
    (
        "extensions, with something in them",
        "hit-extension",
        "hit",
        "hit with somebody else's extension − hit",
    ),
    (
        "one key, no id, nothing in the extensions",
        "same-work",
        "by-hand",
        "the same header work by hand − insert by hand",
    ),
    (
        "all the rest: origin, path, session, in flight, answer",
        "hit",
        "same-work",
        "hit − the same header work by hand",
    ),
];

fn growth(measured: &Measured) -> String {
    let mut table = String::from("| what | from | to | exponent |\n| --- | --- | --- | --- |\n");
    for (what, points, from) in measured.growth() {
        let to = points.last().map_or(0.0, |point| point.0);
        let _ = writeln!(
            table,
            "| {what} | {from} | {to} | {:.3} |",
            exponent(points, from)
        );
    }
    table
}

fn goals(m: &Measured) -> Vec<Goal> {
    let mut goals = vec![
        Goal::at_most(
            "1. hit ÷ `SetRequestHeader`, time",
            m.times("hit", "set-header"),
            (1.4, 1.0),
        ),
        Goal::at_most(
            "1. hit ÷ `SetRequestHeader`, instructions",
            m.counts("hit", "set-header"),
            (1.6, 1.2),
        ),
        Goal::at_most(
            "1. hit ÷ the same header work by hand, instructions",
            m.counts("hit", "same-work"),
            (1.2, 1.2),
        ),
        Goal::at_most(
            "1. hit, key added too ÷ `SetRequestHeader`, time",
            m.times("hit-key", "set-header"),
            (1.75, 1.3),
        ),
        Goal::at_most(
            "1. hit, allocations",
            m.weights["allocations-hit"],
            (0.0, 0.0),
        ),
        Goal::at_most(
            "1. hit, key added too, allocations",
            m.weights["allocations-hit-key"],
            (0.0, 0.0),
        ),
    ];
    for (peer, must, better) in [
        ("kube", 0.55, 0.40),
        ("aws", 0.5, 0.33),
        ("azure", 0.5, 0.33),
        ("google", 0.5, 0.33),
    ] {
        if m.has(peer) {
            goals.push(Goal::at_most(
                format!("2. hit ÷ {peer}, time"),
                m.times("hit", peer),
                (must, better),
            ));
        }
    }
    let flat = |points: &[(f64, f64)], from| exponent(points, from).max(0.0);
    let [keys, constant, _] = &m.with_keys;
    let beside = |ours: &[(f64, f64)], anchor: &[(f64, f64)]| -> Vec<_> {
        let both = ours.iter().zip(anchor);
        both.map(|(a, b)| (a.0, a.1 / b.1)).collect()
    };
    let [served, woken] = &m.waiting;
    goals.extend([
        Goal::at_least("3. two threads ÷ one", m.scale["hit"], (1.85, 1.95)),
        Goal::at_least(
            "3. two threads ÷ one, cloned for each request",
            m.scale["hit-cloned"],
            (1.3, 1.75),
        ),
        Goal::at_most(
            "4. 10,000 keys ÷ constant header with as many, time",
            m.times("hit-crowd", "set-header-crowd"),
            (2.2, 1.5),
        ),
        Goal::at_most(
            "4. 10,000 keys, allocations",
            m.weights["allocations-hit-crowd"],
            (1.0, 1.0),
        ),
        Goal::at_least(
            "4. 10,000 keys, two threads ÷ one",
            m.scale["hit-crowd"],
            (1.7, 1.7),
        ),
        Goal::at_most(
            "5. not ours ÷ a layer that does nothing, time",
            m.times("not-ours", "identity"),
            (2.2, 1.5),
        ),
        Goal::at_most(
            "5. not ours, allocations",
            m.weights["allocations-not-ours"],
            (0.0, 0.0),
        ),
        Goal::at_most(
            "6. cloned ÷ `SetRequestHeader` cloned, time",
            m.times("hit-cloned", "set-header-cloned"),
            (1.6, 1.1),
        ),
        Goal::at_most(
            "7. reqwest-middleware ÷ one by hand, time",
            m.times("middleware", "middleware-by-hand"),
            (1.05, 1.05),
        ),
        Goal::at_most(
            "8. loopback ÷ header by hand, instructions",
            m.loopback.instructions,
            (1.01, 1.01),
        ),
        Goal::at_least(
            "8. loopback ÷ header by hand, requests a second",
            m.loopback.throughput,
            (0.98, 0.98),
        ),
        Goal::at_most(
            format!(
                "8. requests that waited for a renewal, of {} with {} renewals",
                m.waits.calls,
                m.waits.creates - 1
            ),
            m.waits.waited as f64,
            (0.0, 0.0),
        ),
        Goal::at_most(
            "9. cold herd of 10,000 ÷ woken by a channel",
            m.herd,
            (1.2, 1.2),
        ),
        Goal::at_most(
            "10. bytes a session, of 100,000",
            m.weights["bytes"],
            (700.0, 520.0),
        ),
        Goal::at_most(
            "10. tasks, with 100,000 sessions at rest",
            m.weights["tasks-at-rest"],
            (1.0, 1.0),
        ),
        Goal::at_most(
            "10. tasks, while 100,000 sessions are renewed",
            m.weights["tasks-at-most"],
            (10.0, 10.0),
        ),
        Goal::at_most(
            "11. exponent: a call, after 1 to 1,000,000",
            flat(&m.calls, 1.0),
            (0.05, 0.05),
        ),
        Goal::at_most(
            "11. exponent: a call ÷ constant header, with 1 to 100,000 keys",
            flat(&beside(keys, constant), 1.0),
            (0.05, 0.05),
        ),
        Goal::at_most(
            "11. exponent − 1: sessions made, 100 to 100,000",
            (exponent(&m.with_keys[2], 100.0) - 1.0).abs(),
            (0.1, 0.1),
        ),
        Goal::at_most(
            "11. exponent − 1: callers served that waited, 100 to 10,000",
            (exponent(served, 100.0) - 1.0).abs(),
            (0.1, 0.1),
        ),
        Goal::at_most(
            "11. exponent: the same ÷ tasks woken by a channel",
            flat(&beside(served, woken), 100.0),
            (0.05, 0.05),
        ),
    ]);
    goals
}

fn calls_plot(measured: &Measured) -> String {
    let kind = |name: &str| match name {
        "kube" | "aws" | "azure" | "google" => 2,
        "hit" | "hit-key" | "hit-cloned" | "not-ours" => 0,
        _ => 1,
    };
    let shown: HashMap<_, _> = [
        "bare",
        "by-hand",
        "same-work",
        "set-header",
        "set-header-cloned",
        "hit",
        "hit-key",
        "hit-cloned",
        "not-ours",
        "kube",
        "aws",
        "azure",
        "google",
    ]
    .into_iter()
    .map(|name| (name, kind(name)))
    .collect();
    let cases = measured
        .cases
        .iter()
        .filter(|case| shown.contains_key(case.name));
    let mut bars: Vec<_> = cases
        .map(|case| Bar {
            label: case.what.to_owned(),
            value: measured.times(case.name, "set-header").median,
            kind: shown[case.name],
        })
        .collect();
    bars.sort_by(|a, b| a.value.total_cmp(&b.value));
    svg::bars("Time of a call, tower-http's SetRequestHeader = 1", &bars)
}
