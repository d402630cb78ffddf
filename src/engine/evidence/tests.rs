//! Tests of the rules together: what is observed, and what follows.

// The times are literals, so no subtraction underflows.
#![allow(clippy::unchecked_time_subtraction)]

mod damped;
mod foregone;
mod owed;
mod restarted;
mod several;
mod silent;
mod slow;
mod steps;

use std::iter;

use super::*;
use crate::api::Stamp;

/// When the session of `begun` was created.
const SESSION: u64 = 100_000;
const VERIFY_AFTER: Duration = Duration::from_secs(60);

fn at(millis: u64) -> Reading {
    let monotonic = Duration::from_millis(millis);
    let wall = Duration::from_secs(1_795_000_000) + monotonic;
    Reading { monotonic, wall }
}

/// The headers of an answer that took 50 ms.
fn stamp(remaining: u32, reset: u32) -> Stamp {
    Stamp::new(remaining, reset)
}

fn exchange(sent: u64) -> Exchange {
    Exchange {
        sent: at(sent),
        received: at(sent + 50),
    }
}

/// The server's clock, which is 7 s ahead.
fn server(millis: u64) -> Duration {
    at(millis + 7_000).wall
}

/// The health answer at `now` of a process that has run since `boot`.
fn health(boot: u64, now: u64) -> Health {
    Health {
        boot: server(boot),
        timestamp: server(now),
        keeps_sessions: false,
    }
}

fn made(born: u64, now: u64) -> Made {
    let total = Duration::from_secs(3600);
    Made {
        at: server(born + 20),
        known_at: server(born + 20),
        total,
        born: at(born),
        left: total.saturating_sub(Duration::from_millis(now - born)),
        known: (at(born), Duration::from_millis(now - born)),
    }
}

/// The answer to a call that asked for the session at `asked`.
fn metered(knows: bool, signs: u64, asked: u64) -> Metered {
    Metered {
        knows,
        made_at: server(SESSION + 20),
        born: at(SESSION).monotonic,
        is_oldest: true,
        signs,
        asked: at(asked),
    }
}

/// A manager whose first session was created at 100 s. Its answer says that 97 calls are left for 60 s.
fn begun() -> Evidence {
    let mut evidence = Evidence::new(VERIFY_AFTER);
    evidence.see_clock(server(100_020), exchange(100_000));
    let reaction = evidence.created(Some(stamp(97, 60)), exchange(100_000), true);
    assert_eq!(reaction, Reaction::Nothing);
    evidence
}

/// Calls health, which a process that has run since `boot` answers at once.
fn ask(evidence: &mut Evidence, signs: u64, now: u64, boot: u64) -> bool {
    let question = evidence.ask(signs, at(now));
    let sessions = [made(SESSION, now)].into_iter();
    evidence.answered(
        question,
        Word::Says(health(boot, now)),
        sessions,
        at(now + 10),
    )
}

#[test]
fn while_windows_prove_the_process_nothing_is_asked() {
    let mut evidence = begun();
    for (calls, second) in (101..155).enumerate() {
        let (left, reset) = (
            96 - u32::try_from(calls).unwrap(),
            u32::try_from(160 - second).unwrap(),
        );
        let seen = evidence.see(stamp(left, reset), exchange(second * 1_000));
        assert_eq!(seen, (true, Reaction::Nothing), "{second}");
        assert_eq!(evidence.look(at(second * 1_000 + 60)), Reaction::Nothing);
    }
}

#[test]
fn an_answer_that_comes_late_does_not_put_off_the_next_question() {
    let mut evidence = begun();
    let slow = Exchange {
        sent: at(130_000),
        received: at(132_000),
    };
    assert!(evidence.see(stamp(95, 29), exchange(131_000)).0);
    assert!(evidence.see(stamp(96, 30), slow).0);
    assert_eq!(evidence.look(at(190_900)), Reaction::Nothing);
    assert_eq!(evidence.look(at(191_100)), Reaction::Hold);
}

#[test]
fn a_window_that_begins_before_its_time_holds_and_the_answer_of_a_new_process_ends_the_session() {
    let mut evidence = begun();
    let seen = evidence.see(stamp(99, 60), exchange(120_000));
    assert_eq!(seen, (false, Reaction::Hold));
    assert_eq!(
        evidence.judge(&made(100_000, 120_060), 1),
        None,
        "nobody has been asked"
    );
    ask(&mut evidence, 1, 120_060, 118_000);
    assert_eq!(evidence.judge(&made(100_000, 120_100), 1), Some(Fate::Gone));
    assert_eq!(
        evidence.judge(&made(119_500, 120_100), 1),
        Some(Fate::Alive)
    );
}

#[test]
fn a_restart_right_after_a_window_was_asked_about_is_not_damped() {
    let mut evidence = begun();
    assert_eq!(
        evidence.see(stamp(99, 60), exchange(160_500)),
        (false, Reaction::Ask)
    );
    ask(&mut evidence, 0, 160_560, 50_000);
    assert_eq!(
        evidence.see(stamp(98, 60), exchange(161_000)),
        (true, Reaction::Nothing)
    );
    assert_eq!(
        evidence.see(stamp(99, 60), exchange(163_000)),
        (false, Reaction::Hold)
    );
}

#[test]
fn several_restarts_in_a_row_are_each_found_at_once() {
    let mut evidence = begun();
    for (signs, restart) in [(1, 103_000), (2, 106_000), (3, 109_000), (4, 112_000)] {
        let seen = evidence.see(stamp(99, 60), exchange(restart + 1_000));
        assert_eq!(seen, (false, Reaction::Hold), "{restart}");
        ask(&mut evidence, signs, restart + 1_100, restart);
        let fate = evidence.judge(&made(restart - 2_500, restart + 1_200), signs);
        assert_eq!(fate, Some(Fate::Gone), "{restart}");
        let created = evidence.created(Some(stamp(98, 60)), exchange(restart + 1_200), true);
        assert_eq!(created, Reaction::Nothing);
    }
}

#[test]
fn a_false_alarm_damps_the_next_ones_and_they_are_made_up_for() {
    let mut evidence = begun();
    let mut now = 101_000;
    assert_eq!(evidence.raise(Cause::Sign, at(now)), Reaction::Hold);
    for floor in [10, 20, 40, 60, 60] {
        ask(&mut evidence, 0, now, 50_000);
        assert_eq!(
            evidence.raise(Cause::Sign, at(now + 500)),
            Reaction::Nothing
        );
        let almost = now + floor * 1_000;
        assert_eq!(
            evidence.raise(Cause::Sign, at(almost - 100)),
            Reaction::Nothing,
            "{floor}"
        );
        now = almost + 20;
        assert_eq!(evidence.look(at(now)), Reaction::Hold, "{floor}");
    }
}

#[test]
fn a_broken_connection_holds_also_right_after_a_false_alarm() {
    let mut evidence = begun();
    assert_eq!(evidence.raise(Cause::Sign, at(101_000)), Reaction::Hold);
    ask(&mut evidence, 1, 101_000, 50_000);
    assert_eq!(evidence.raise(Cause::Broken, at(101_500)), Reaction::Hold);
}

#[test]
fn questions_about_broken_connections_come_no_more_often_than_their_pace() {
    let (mut evidence, mut now, mut asked) = (begun(), 101_000, 0);
    while now < 221_000 {
        let _ = evidence.raise(Cause::Broken, at(now));
        if evidence.may_ask_in(at(now)).is_zero() {
            ask(&mut evidence, asked, now, 50_000);
            asked += 1;
        }
        now += 50;
    }
    assert!((12..=20).contains(&asked), "{asked} in two minutes");
}

#[test]
fn hints_are_asked_about_while_requests_go_on_and_ever_more_seldom() {
    let (mut evidence, mut asked) = (begun(), 0);
    for now in (101_000..401_000).step_by(100) {
        let reaction = evidence.raise(Cause::Hint, at(now));
        assert_ne!(reaction, Reaction::Hold);
        if reaction == Reaction::Ask {
            ask(&mut evidence, 0, now, 50_000);
            asked += 1;
        }
    }
    assert!((6..=8).contains(&asked), "{asked} in five minutes");
}

#[test]
fn without_a_proof_for_a_while_the_next_request_waits_for_one() {
    let mut evidence = begun();
    assert_eq!(evidence.look(at(159_900)), Reaction::Nothing);
    assert_eq!(evidence.look_in(at(159_900)), Duration::from_millis(100));
    assert_eq!(evidence.look(at(160_000)), Reaction::Hold);
    ask(&mut evidence, 1, 160_000, 50_000);
    assert_eq!(evidence.look(at(219_000)), Reaction::Nothing);
    assert_eq!(evidence.look(at(220_100)), Reaction::Hold);
}

/// One of the two clocks here may stand still or jump back: the monotonic clock during sleep, or a wall clock that is
/// set.
#[test]
fn evidence_ages_by_both_clocks() {
    let minute = Duration::from_secs(61);
    let now = at(101_000);
    let slept = Reading {
        wall: now.wall + minute,
        ..now
    };
    let set_back = Reading {
        monotonic: now.monotonic + minute,
        wall: now.wall - minute,
    };
    for later in [slept, set_back] {
        assert_eq!(begun().look(later), Reaction::Hold, "{later:?}");
    }
}

#[test]
fn an_answer_from_before_the_sign_decides_nothing() {
    let mut evidence = begun();
    let question = evidence.ask(0, at(101_000));
    assert_eq!(
        evidence.raise(Cause::Sign, at(101_010)),
        Reaction::Hold,
        "a hint's question is no answer"
    );
    evidence.answered(
        question,
        Word::Says(health(50_000, 101_005)),
        iter::empty(),
        at(101_020),
    );
    assert_eq!(evidence.judge(&made(100_000, 101_030), 1), None);
}

#[test]
fn two_processes_and_common_stores_are_no_verdict_and_no_proof() {
    let mut evidence = begun();
    ask(&mut evidence, 0, 101_000, 50_000);
    ask(&mut evidence, 1, 112_000, 80_000);
    assert_eq!(
        evidence.judge(&made(100_000, 112_100), 1),
        Some(Fate::Unclear)
    );
    assert!(
        !evidence.is_one_process_since(at(100_000)) && evidence.is_one_process_since(at(111_000))
    );

    let mut evidence = begun();
    let question = evidence.ask(1, at(112_000));
    let kept = Health {
        keeps_sessions: true,
        ..health(110_000, 112_000)
    };
    evidence.answered(question, Word::Says(kept), iter::empty(), at(112_010));
    assert_eq!(
        evidence.judge(&made(100_000, 112_100), 1),
        Some(Fate::Unclear)
    );
}

#[test]
fn what_was_made_in_the_second_of_the_boot_is_asked_about_by_itself() {
    for (born, fate) in [
        (109_990, Fate::Alive),
        (109_500, Fate::Unclear),
        (108_500, Fate::Gone),
    ] {
        let mut evidence = begun();
        ask(&mut evidence, 1, 112_000, 110_000);
        assert_eq!(
            evidence.judge(&made(born, 112_100), 1),
            Some(fate),
            "{born}"
        );
    }
}

#[test]
fn a_server_whose_clock_is_set_forward_expires_sessions_early_and_one_set_back_hides_a_restart() {
    let step = Duration::from_secs(50 * 60);
    let says = |boot, timestamp| {
        let mut evidence = begun();
        let question = evidence.ask(1, at(112_000));
        let health = Health {
            boot,
            timestamp,
            keeps_sessions: true,
        };
        evidence.answered(question, Word::Says(health), iter::empty(), at(112_010));
        evidence.judge(&made(100_000, 112_100), 1)
    };
    assert_eq!(
        says(server(50_000) + step, server(112_000) + step),
        Some(Fate::Gone)
    );
    // The server restarted at 111 s and its clock was set back, so the process looks older than the session.
    assert_eq!(
        says(server(111_000) - step, server(112_000) - step),
        Some(Fate::Unclear)
    );
    assert_eq!(says(server(50_000), server(112_000)), Some(Fate::Alive));
}

#[test]
fn a_date_that_parts_is_a_hint_until_the_server_has_been_asked() {
    let mut evidence = begun();
    assert_eq!(
        evidence.see_date(server(101_000), at(101_000)),
        Reaction::Nothing
    );
    let off = |now: u64| server(now) + Duration::from_secs(30);
    assert_eq!(evidence.see_date(off(102_000), at(102_000)), Reaction::Ask);
    ask(&mut evidence, 0, 102_010, 50_000);
    // The `Date` is as far off as at the last question, so it is an edge's wrong clock.
    assert_eq!(
        evidence.see_date(off(150_000), at(150_000)),
        Reaction::Nothing
    );
    assert_eq!(
        evidence.see_date(server(151_000), at(151_000)),
        Reaction::Ask
    );
}

#[test]
fn a_create_beside_older_sessions_proves_nothing_for_them() {
    let mut evidence = begun();
    // The window of the older session has ended, so the server may be another process by now.
    let reaction = evidence.created(Some(stamp(99, 60)), exchange(161_000), false);
    assert_eq!(reaction, Reaction::Ask);
    let seen = evidence.see(stamp(98, 60), exchange(161_500));
    assert_eq!(
        seen,
        (false, Reaction::Nothing),
        "it is not known yet whose window it is"
    );
}

/// The server may have restarted between that session's create and the first answer here, without a failed call here.
#[test]
fn a_session_from_before_this_process_knew_the_server_is_not_vouched_for() {
    let mut evidence = begun();
    assert!(evidence.vouches_for(&made(100_500, 101_000)));
    assert!(!evidence.vouches_for(&made(90_000, 101_000)));
    assert!(!evidence.is_one_process_since(at(90_000)));
    ask(&mut evidence, 0, 102_000, 50_000);
    assert!(evidence.vouches_for(&made(90_000, 103_000)));
    assert!(!evidence.vouches_for(&made(40_000, 103_000)));
}
