//! Writes and checks the table of `docs/attempts.md`: what each step does with each input. The table comes from what
//! attempts do in many random runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write,
    fs,
    path::Path,
};

use super::{
    came::Came,
    lives,
    world::{Setting, World},
    *,
};

/// Number of runs. It is large enough that every row of the table occurs often.
const LIVES: u64 = 50_000;
const BEGIN: &str = "<!-- table -->\n";

/// What followed in the runs, by step and input.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(BTreeMap<(u8, &'static str, String), BTreeSet<String>>);

impl Table {
    pub(super) fn note(
        &mut self,
        before: &Step<u64>,
        came: Came,
        told: &[&'static str],
        after: &Step<u64>,
    ) {
        let (place, name) = name(before);
        let follows = told.iter().copied().chain([self::name(after).1]);
        let follows = follows.collect::<Vec<_>>().join(", ");
        let row = (place, name, format!("{came:?}"));
        self.0.entry(row).or_default().insert(follows);
    }

    fn text(&self) -> String {
        let mut text =
            String::from("| waits for | what comes | what follows |\n| --- | --- | --- |\n");
        for ((_, step, came), follows) in &self.0 {
            let follows: Vec<_> = follows.iter().map(String::as_str).collect();
            writeln!(text, "| {step} | {came} | {} |", follows.join("; ")).unwrap();
        }
        text
    }
}

/// Returns the name of a step, and its position on the page.
fn name(step: &Step<u64>) -> (u8, &'static str) {
    match step {
        Step::Begun => (0, "`Begun`"),
        Step::Sharing => (1, "`Sharing`"),
        Step::Queued(_) => (2, "`Queued`"),
        Step::Asking(_) => (3, "`Asking`"),
        Step::AskingOldest(_) => (4, "`AskingOldest`"),
        Step::Checking(_) => (5, "`Checking`"),
        Step::Telling(..) => (6, "`Telling`"),
        Step::Calling => (7, "`Calling`"),
        Step::Publishing(_) => (8, "`Publishing`"),
        Step::Pausing(_) => (9, "`Pausing`"),
        Step::Ended(Ok(Ok(_))) => (10, "**has a session**"),
        Step::Ended(Ok(Err(_))) => (10, "**has failed**"),
        Step::Ended(Err(Fenced)) => (10, "**is overtaken**"),
    }
}

/// Returns the page's name for an effect.
pub(super) fn effect(effect: &Effect<u64>) -> &'static str {
    match effect {
        Effect::GiveUp { .. } => "*gives it up*",
        Effect::LetGo(_) => "*leaves it*",
        Effect::NotMetered => "*leaves the call to others*",
        Effect::MeteredInVain(_) => "*asked in vain*",
        Effect::CheckFailed { .. } => "*tells that the check failed*",
        Effect::RenewalFailed { .. } => "*tells that the renewal failed*",
    }
}

#[test]
fn the_page_about_attempts_says_what_each_step_does_with_each_thing_that_comes() {
    let (settings, mut next) = (lives::settings(), Vec::new());
    let mut table = Table::default();
    for seed in 0..LIVES {
        let mut world = World::new(&settings[usize::try_from(seed % 16).unwrap()], seed);
        world.table = Some(table);
        lives::live(&mut world, seed, &mut next);
        table = world.table.take().unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/attempts.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, written) = page.split_once(BEGIN).unwrap();
    let text = table.text();
    if env::var_os("WRITE_TABLE").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{text}")).unwrap();
        return;
    }
    assert_eq!(written, text, "WRITE_TABLE=1 writes it anew");
}

/// Returns inputs that a step does not wait for.
fn others(step: &Step<u64>) -> Vec<Input<u64>> {
    let all = [
        (matches!(step, Step::Begun), Input::Begun(9)),
        (matches!(step, Step::Sharing), Input::Shared(Share::Create)),
        (matches!(step, Step::Sharing), Came::AskAbout.input(9)),
        (waits(step), Input::Due),
        (waits(step), Input::Woken),
        (waits(step), Input::Closed),
        (matches!(step, Step::Asking(_)), Came::Alive.input(9)),
        (
            matches!(step, Step::AskingOldest(_)),
            Came::AllKnown.input(9),
        ),
        (matches!(step, Step::Checking(_)), Came::Known.input(9)),
        (matches!(step, Step::Telling(..)), Input::Told),
        (matches!(step, Step::Calling), Came::Made.input(9)),
        (
            matches!(step, Step::Calling),
            Came::Quota.input_to(&Step::Calling, 9),
        ),
        (matches!(step, Step::Publishing(_)), Came::Accepted.input(9)),
    ];
    let others = all.into_iter().filter(|(fits, _)| !fits);
    others.map(|(_, input)| input).collect()
}

fn waits(step: &Step<u64>) -> bool {
    matches!(step, Step::Queued(_) | Step::Pausing(_))
}

#[test]
fn what_a_step_does_not_wait_for_changes_nothing() {
    let setting = Setting::new(2, false, true, true);
    let (mut next, mut steps) = (Vec::new(), BTreeSet::new());
    for seed in 0..300 {
        let mut world = World::new(&setting, seed);
        lives::live(&mut world, seed, &mut next);
        for generation in world.flying.keys().copied().collect::<Vec<_>>() {
            let step = world.flying[&generation].attempt.step().clone();
            steps.insert(name(&step));
            let before = format!("{:?} {:?}", world.flying, world.gate);
            for input in others(&step) {
                world.hand_in(generation, input);
                assert_eq!(format!("{:?} {:?}", world.flying, world.gate), before);
            }
        }
    }
    assert!(steps.len() >= 8, "only {steps:?}");
}
