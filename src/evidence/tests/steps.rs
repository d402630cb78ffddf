//! The server's clock is set.

use super::*;

/// By how far it is set forward, in milliseconds.
const STEP: u64 = 50 * 60 * 1_000;

/// A session whose create was sent then, when the server's clock said this.
fn made_by(clock: Duration, born: u64, now: u64) -> Made {
    Made {
        at: clock,
        known_at: clock,
        ..made(born, now)
    }
}

/// A machine that slept sees the server's clock ahead by as much.
#[test]
fn sessions_that_are_made_by_the_clock_as_it_was_set_are_judged_by_health_alone() {
    let mut evidence = begun();
    // Both were under way when the first answer showed it.
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

/// A clock that was set back hides a restart, as far as that goes.
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
