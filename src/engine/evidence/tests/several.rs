//! Tests of several server processes behind one address.

use super::*;

/// When two processes began, the older first. Both were up before any session was created.
const BOOTS: [u64; 2] = [50_000, 60_000];

/// Processes answer at the times of `answers`, and a session is created at `born`. Then the last process answers once
/// more. Returns the fate of the session, and whether it certainly belongs to the server process that answers now.
fn judged(answers: &[(u64, usize)], born: u64) -> (Fate, bool) {
    let mut evidence = begun();
    let last = answers.last().map_or(0, |(_, which)| *which);
    let all = answers.iter().copied().chain([(born + 10_000, last)]);
    for (signs, (now, which)) in (1..).zip(all) {
        ask(&mut evidence, signs, now, BOOTS[which]);
    }
    let fate = evidence.judge(&made(born, born + 10_020), 1).unwrap();
    (fate, evidence.is_one_process_since(at(born)))
}

#[test]
fn a_process_that_answers_again_after_a_younger_one_is_one_of_several() {
    let switching = [(101_000, 0), (112_000, 1), (123_000, 0), (134_000, 1)];
    for answers in [&switching[..3], &switching] {
        assert_eq!(judged(answers, 140_000), (Fate::Unclear, false));
    }
}

#[test]
fn a_process_that_was_followed_by_a_younger_one_has_ended() {
    let restart = [(101_000, 0), (112_000, 1), (123_000, 1)];
    assert_eq!(judged(&restart, 130_000), (Fate::Alive, true));
    // A rolling deploy: both processes serve for a moment. After half an hour, the older one no longer counts.
    let rolling = [(101_000, 0), (112_000, 1), (113_000, 0), (123_000, 1)];
    let after = |seconds: u64| judged(&rolling, 113_000 + seconds * 1_000);
    assert_eq!(after(1_700), (Fate::Unclear, false));
    assert_eq!(after(1_800), (Fate::Alive, true));
}

/// Health gives the start of a process up to 1 s late. The third answer is within 2 s of the older start, and nearer to
/// the younger one.
#[test]
fn a_process_that_was_restarted_within_seconds_is_not_taken_for_one_of_several() {
    for boots in [
        [50_000, 52_100, 51_900, 52_500],
        [50_000, 51_700, 51_750, 52_100],
    ] {
        let mut evidence = begun();
        for (signs, boot) in (1..).zip(boots) {
            ask(&mut evidence, signs, 100_000 + signs * 11_000, boot);
        }
        let session = made(130_000, 145_000);
        assert_eq!(evidence.judge(&session, 4), Some(Fate::Alive), "{boots:?}");
        assert!(evidence.is_one_process_since(at(130_000)), "{boots:?}");
    }
}

#[test]
fn an_answer_of_a_new_process_does_not_prove_that_of_a_session_from_before() {
    let mut evidence = begun();
    ask(&mut evidence, 1, 140_000, 130_000);
    let proves = |born| evidence.is_process_of(&made(born, 150_000));
    assert_eq!([SESSION, 135_000].map(proves), [false, true]);
}

/// The session was created after both processes had answered, so it may belong to either.
#[test]
fn where_two_processes_serve_side_by_side_no_answer_proves_that_of_a_session() {
    let mut evidence = begun();
    for (signs, now, boot) in [(1, 101_000, 0), (2, 112_000, 1), (3, 123_000, 0)] {
        ask(&mut evidence, signs, now, BOOTS[boot]);
    }
    assert!(!evidence.is_process_of(&made(130_000, 140_000)));
}

/// With several processes, each check of a session may show the window of another one.
#[test]
fn a_session_that_is_found_holds_nobody_however_new_the_window_of_that_answer_is() {
    let mut evidence = begun();
    ask(&mut evidence, 1, 101_000, BOOTS[0]);
    ask(&mut evidence, 2, 112_000, BOOTS[1]);
    assert_eq!(evidence.raise(Cause::Sign, at(123_000)), Reaction::Hold);
    // One of the two processes answers. It need not be the one that has the session, so the session has to be checked.
    ask(&mut evidence, 3, 123_000, BOOTS[0]);
    let reaction = evidence.found(Some(stamp(99, 60)), exchange(123_100));
    assert!(reaction < Reaction::Hold, "{reaction:?}");
    // The check found the session, so the sign before was a false alarm.
    assert_eq!(evidence.raise(Cause::Sign, at(124_000)), Reaction::Nothing);
    assert_eq!(evidence.raise(Cause::Sign, at(184_000)), Reaction::Hold);
}

/// Two processes do not share their sessions, and both began before the session was created. Only one answers health.
/// The first answer of the other one shows a second window, while the first window is still open. Health then says that
/// the session is alive, but nobody knows whether the process of the second window has it.
#[test]
fn the_answers_of_a_second_window_stay_doubted_until_the_session_is_found_behind_it() {
    let mut evidence = begun();
    assert_eq!(
        evidence.see(stamp(99, 60), exchange(105_000)),
        (false, Reaction::Hold)
    );
    ask(&mut evidence, 1, 105_100, 50_000);
    assert_eq!(
        evidence.judge(&made(100_000, 105_200), 1),
        Some(Fate::Alive)
    );
    for (left, reset, now) in [(98, 59, 106_000), (97, 58, 107_000)] {
        let doubted = (false, Reaction::Nothing);
        assert_eq!(evidence.see(stamp(left, reset), exchange(now)), doubted);
    }
    evidence.knows(stamp(96, 57), exchange(108_000));
    assert_eq!(
        evidence.see(stamp(95, 56), exchange(109_000)),
        (true, Reaction::Nothing)
    );
}
