//! Tests of a server clock that is set forward or back.

use super::*;

/// How far the clock is set forward, in milliseconds.
const STEP: u64 = 50 * 60 * 1_000;

/// A session whose create was sent at `born`, when the server's clock said `clock`.
fn made_by(clock: Duration, born: u64, now: u64) -> Made {
    Made {
        at: clock,
        known_at: clock,
        ..made(born, now)
    }
}

/// To a machine that slept, it looks as if the server's clock was set forward by the time of the sleep.
#[test]
fn sessions_that_are_made_by_the_clock_as_it_was_set_are_judged_by_health_alone() {
    let mut evidence = begun();
    // Both creates were in flight when the first answer showed the step.
    let sent = [120_000, 120_020];
    let clocks = sent.map(|sent| server(sent + STEP + 30));
    for (sent, clock) in sent.into_iter().zip(clocks) {
        evidence.see_clock(clock, exchange(sent));
    }
    let says = Word::Says(health(50_000 + STEP, 130_000 + STEP));
    let question = evidence.ask(1, at(130_000));
    evidence.answered(question, says, iter::empty(), at(130_010));
    for (sent, clock) in sent.into_iter().zip(clocks) {
        let made = made_by(clock, sent, 130_020);
        assert_eq!(evidence.judge(&made, 1), Some(Fate::Alive), "{sent}");
    }
}

/// The server restarts and its clock is set back. By its times, the new process began before the session was created.
#[test]
fn a_session_of_before_the_clock_was_set_back_is_asked_for() {
    for back in [2_000, STEP] {
        let mut evidence = begun();
        let set_back = |now: u64| server(now) - Duration::from_millis(back);
        let under_way = made_by(server(120_010), 120_000, 130_020);
        evidence.see_clock(set_back(120_045), exchange(120_000));
        let restarted = Health {
            boot: set_back(121_000),
            timestamp: set_back(130_000),
            keeps_sessions: false,
        };
        let question = evidence.ask(1, at(130_000));
        evidence.answered(question, Word::Says(restarted), iter::empty(), at(130_010));
        assert_eq!(evidence.judge(&under_way, 1), Some(Fate::Unclear), "{back}");
    }
}

/// This machine's monotonic clock stood still while it slept. Its wall clock went on, like the server's clock.
#[test]
fn a_machine_that_slept_takes_the_server_at_its_word() {
    let slept = Duration::from_millis(STEP);
    let woken = |now: u64| Reading {
        wall: at(now).wall + slept,
        ..at(now)
    };
    let is_asked_for = |back: Duration| {
        let mut evidence = begun();
        let says = |time: u64| server(time) + slept - back;
        let health = Health {
            boot: server(50_000),
            timestamp: says(130_000),
            keeps_sessions: false,
        };
        let question = evidence.ask(1, woken(130_000));
        evidence.answered(question, Word::Says(health), iter::empty(), woken(130_010));
        let before = made(SESSION, 130_020);
        let left = before.left - slept;
        evidence.judge(&Made { left, ..before }, 1) != Some(Fate::Alive)
    };
    assert!(!is_asked_for(Duration::ZERO));
    assert!(
        is_asked_for(Duration::from_secs(3)),
        "its clock was set back"
    );
}

/// This machine's wall clock is set forward, and the server's clock is not.
#[test]
fn a_wall_clock_that_is_set_forward_here_is_no_step_of_the_servers() {
    let mut evidence = begun();
    let set = |now: u64| Reading {
        wall: at(now).wall + Duration::from_millis(STEP),
        ..at(now)
    };
    let question = evidence.ask(1, set(130_000));
    let says = Word::Says(health(50_000, 130_000));
    evidence.answered(question, says, iter::empty(), set(130_010));
    // The create took 1.5 s.
    let made = made_by(server(SESSION + 1_500), SESSION, 130_020);
    assert_eq!(evidence.judge(&made, 1), Some(Fate::Alive));
}

/// A slow create gives a lower bound of the server's clock. If the clock is below that bound later, it was set back.
#[test]
fn a_restart_is_not_hidden_by_a_clock_that_was_set_back_after_a_slow_create() {
    let mut evidence = Evidence::new(VERIFY_AFTER);
    let slow = Exchange {
        sent: at(100_000),
        received: at(107_000),
    };
    evidence.see_clock(server(106_900), slow);
    let _ = evidence.created(Some(stamp(99, 60)), slow, true);
    let session = |now| made_by(server(106_900), 100_000, now);
    let set_back = |now: u64| server(now) - Duration::from_millis(STEP);
    let restarted = Health {
        boot: set_back(150_000),
        timestamp: set_back(170_000),
        keeps_sessions: false,
    };
    let question = evidence.ask(1, at(170_000));
    let sessions = iter::once(session(170_010));
    evidence.answered(question, Word::Says(restarted), sessions, at(170_010));
    assert_eq!(evidence.judge(&session(170_020), 1), Some(Fate::Unclear));
    // This session was created after the clock was set.
    let made_later = made_by(set_back(171_020), 171_000, 175_000);
    assert_eq!(evidence.judge(&made_later, 1), Some(Fate::Alive));
}
