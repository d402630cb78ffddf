//! Tests of how a restart of the server is noticed.

use super::*;

/// The new process may answer a create before the answer of health reveals the restart.
#[test]
fn what_the_new_process_had_answered_before_it_was_found_out_is_not_forgotten() {
    let mut evidence = begun();
    ask(&mut evidence, 1, 101_000, 50_000);
    let question = evidence.ask(2, at(180_000));
    let made_meanwhile = Exchange {
        sent: at(179_950),
        received: at(180_100),
    };
    let first = evidence.created(Some(stamp(99, 60)), made_meanwhile, false);
    assert_eq!(first, Reaction::Nothing, "it is asked already");
    let sessions = [made(SESSION, 180_200)].into_iter();
    let says = Word::Says(health(160_000, 180_000));
    assert!(evidence.answered(question, says, sessions, at(180_200)));
    assert!(!evidence.see(stamp(98, 60), exchange(180_160)).0);
    ask(&mut evidence, 3, 181_000, 160_000);
    assert!(evidence.see(stamp(97, 59), exchange(181_100)).0);
    // The server restarts once more, and the next process begins with as many calls left.
    let slow = Exchange {
        sent: at(180_150),
        received: at(183_000),
    };
    let (proves, _) = evidence.see(stamp(99, 60), slow);
    assert!(!proves);
}

/// The window of the old process must not pass for a window of the new one.
#[test]
fn what_was_answered_before_the_new_process_began_is_forgotten() {
    let mut evidence = begun();
    ask(&mut evidence, 1, 101_000, 50_000);
    assert!(ask(&mut evidence, 2, 112_000, 110_000));
    for (now, reset) in [(113_000, 47), (124_000, 36)] {
        let (proves, _) = evidence.see(stamp(90, reset), exchange(now));
        assert!(!proves, "{now}");
    }
}

/// The session was created half a second before the new process began, by health's rounded time. So the new process may
/// have it or not.
#[test]
fn answers_of_the_new_process_do_not_prove_a_session_that_was_made_a_moment_before_it_began() {
    let mut evidence = begun();
    ask(&mut evidence, 1, 101_000, 50_000);
    let just_before = |now| made(119_500, now);
    let question = evidence.ask(2, at(130_000));
    let sessions = iter::once(just_before(130_000));
    let says = Word::Says(health(120_000, 130_000));
    evidence.answered(question, says, sessions, at(130_010));
    assert!(!evidence.is_process_of(&just_before(130_100)));
    assert!(evidence.is_process_of(&made(131_000, 131_100)));
    // A check has found the session since.
    let asked_for = Made {
        known_at: server(132_000),
        known: (at(132_000), Duration::ZERO),
        ..just_before(132_000)
    };
    assert!(evidence.is_process_of(&asked_for));
}

/// The server restarts twice within seconds. By the boot times, each answer of health may come from either new process,
/// so nobody knows which of them has the session.
#[test]
fn answers_of_a_process_that_began_soon_after_another_do_not_prove_a_session_of_that_one() {
    let mut evidence = begun();
    ask(&mut evidence, 1, 130_000, 129_900);
    let between = |now| Made {
        known_at: server(130_200),
        known: (at(130_200), Duration::from_millis(now - 130_200)),
        ..made(130_000, now)
    };
    for (signs, now, boot) in [(2, 140_000, 131_200), (3, 150_000, 130_900)] {
        let question = evidence.ask(signs, at(now));
        let says = Word::Says(health(boot, now));
        evidence.answered(question, says, iter::once(between(now)), at(now + 10));
    }
    assert!(!evidence.is_process_of(&between(150_100)));
    assert!(evidence.is_process_of(&made(132_000, 150_100)));
}

/// The server restarts while the body of its answer to a session call is delayed.
#[test]
fn what_is_answered_while_a_session_is_asked_for_is_not_of_its_process() {
    let mut evidence = begun();
    ask(&mut evidence, 1, 101_000, 50_000);
    let held_up = Exchange {
        sent: at(150_000),
        received: at(172_000),
    };
    let next_process = evidence.see(stamp(99, 60), exchange(165_000));
    assert!(!next_process.0);
    evidence.knows(stamp(96, 10), held_up);
    let (proves, _) = evidence.see(stamp(98, 52), exchange(173_000));
    assert!(!proves);
}

/// The server restarts during a session call that takes four seconds. The new process begins a window that the delayed
/// answer also fits.
#[test]
fn a_session_call_that_was_held_up_over_a_restart_does_not_confirm_its_window() {
    let mut evidence = begun();
    ask(&mut evidence, 1, 101_000, 50_000);
    let held_up = Exchange {
        sent: at(161_000),
        received: at(165_000),
    };
    evidence.knows(stamp(99, 60), held_up);
    let (proves, _) = evidence.see(stamp(98, 57), exchange(166_000));
    assert!(!proves);
}
