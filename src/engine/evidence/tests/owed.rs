//! Tests that no observation is forgotten before something was decided about it: signs about which the server was not
//! asked yet, and new windows that began beside a known one.

use super::*;

/// Calls health, whose answer is of no use.
fn silent(evidence: &mut Evidence, signs: u64, now: u64) {
    let question = evidence.ask(signs, at(now));
    evidence.answered(question, Word::Silent, iter::empty(), at(now + 10));
}

/// The old process answers the session call at once, but its answer is delayed. The server restarts. The new process
/// answers a request that was sent just before the session call, or just after it.
#[test]
fn a_strange_answer_that_came_after_a_session_call_was_sent_is_not_forgotten() {
    for sent in [113_900, 114_050] {
        let mut evidence = begun();
        assert_eq!(evidence.raise(Cause::Broken, at(113_800)), Reaction::Hold);
        silent(&mut evidence, 1, 113_810);
        assert_eq!(evidence.fallback(1, at(113_820)), Fallback::Meter);
        let strange = Exchange {
            sent: at(sent),
            received: at(115_000),
        };
        assert_eq!(evidence.see(stamp(99, 60), strange).1, Reaction::Hold);
        let session_call = Exchange {
            sent: at(114_000),
            received: at(114_990),
        };
        evidence.knows(stamp(50, 46), session_call);
        evidence.metered(metered(true, 1, 114_000), at(115_010));
        silent(&mut evidence, 2, 115_200);
        assert_eq!(evidence.fallback(2, at(115_210)), Fallback::Decided);
        let fate = evidence.judge(&made(SESSION, 115_220), 2);
        assert_eq!(fate, Some(Fate::Gone), "{sent}");
    }
}

#[test]
fn a_strange_answer_does_not_hide_a_later_one_that_came_before_it() {
    let mut evidence = begun();
    let _ = evidence.see(stamp(99, 60), exchange(115_000));
    let older = Exchange {
        sent: at(112_000),
        received: at(115_200),
    };
    assert_eq!(evidence.see(stamp(90, 30), older).1, Reaction::Hold);
    let between = Exchange {
        sent: at(114_000),
        received: at(114_900),
    };
    evidence.knows(stamp(50, 46), between);
    silent(&mut evidence, 1, 117_000);
    assert_eq!(evidence.fallback(1, at(117_010)), Fallback::Meter);
    evidence.metered_in_vain((1, at(113_000)), at(117_020));
    let fate = evidence.judge(&made(SESSION, 117_020), 1);
    assert_eq!(fate, Some(Fate::Gone));
}

/// A question is asked because of a hint while a sign is damped, and health says nothing. That decides nothing about
/// the sign.
#[test]
fn a_question_about_a_hint_does_not_settle_a_sign_that_is_damped() {
    for is_asked in [false, true] {
        let mut evidence = begun();
        silent(&mut evidence, 1, 110_000);
        assert_eq!(evidence.fallback(1, at(110_010)), Fallback::Meter);
        evidence.metered_in_vain((1, at(110_020)), at(110_030));
        let (_, reaction) = evidence.see(stamp(99, 60), exchange(120_100));
        assert_eq!(reaction, Reaction::Hold);
        assert_eq!(evidence.fallback(2, at(120_200)), Fallback::Decided);
        if is_asked {
            assert_eq!(evidence.weigh(Cause::Hint, at(130_100)), Reaction::Ask);
            silent(&mut evidence, 2, 130_100);
        }
        assert_eq!(evidence.look(at(151_000)), Reaction::Hold, "{is_asked}");
    }
}

#[test]
fn what_health_says_settles_a_sign_that_was_damped() {
    let mut evidence = begun();
    silent(&mut evidence, 1, 110_000);
    assert_eq!(evidence.fallback(1, at(110_010)), Fallback::Meter);
    evidence.metered_in_vain((1, at(110_020)), at(110_030));
    let _ = evidence.see(stamp(99, 60), exchange(120_100));
    assert_eq!(evidence.fallback(2, at(120_200)), Fallback::Decided);
    assert_eq!(evidence.weigh(Cause::Hint, at(130_100)), Reaction::Ask);
    ask(&mut evidence, 2, 130_100, 50_000);
    assert_ne!(evidence.look(at(151_000)), Reaction::Hold);
}

#[test]
fn a_sign_at_the_instant_of_a_question_stays_owed() {
    let mut evidence = begun();
    silent(&mut evidence, 1, 110_000);
    assert_eq!(evidence.fallback(1, at(110_010)), Fallback::Meter);
    evidence.metered(metered(true, 1, 110_020), at(110_030));
    let question = evidence.ask(1, at(120_050));
    let _ = evidence.see(stamp(99, 60), exchange(120_000));
    evidence.answered(question, Word::Silent, iter::empty(), at(120_060));
    assert_eq!(evidence.fallback(2, at(120_120)), Fallback::Decided);
    assert_eq!(evidence.look(at(141_000)), Reaction::Hold);
}

/// While a session call is under way, an answer of a new process arrives. Health says nothing.
#[test]
fn a_strange_window_that_was_seen_after_a_call_was_sent_is_not_forgotten_by_its_answer() {
    for (seen, expected) in [(115_000, Fate::Gone), (112_000, Fate::Alive)] {
        let mut evidence = begun();
        let earlier = evidence.see(stamp(99, 60), exchange(seen));
        assert_eq!(earlier, (false, Reaction::Hold), "{seen}");
        let slow = Exchange {
            sent: at(114_000),
            received: at(116_000),
        };
        evidence.knows(stamp(50, 46), slow);
        silent(&mut evidence, 1, 117_000);
        assert_eq!(evidence.fallback(1, at(117_010)), Fallback::Meter);
        evidence.metered_in_vain((1, at(113_000)), at(117_020));
        let session = made(100_000, 117_020);
        assert_eq!(evidence.judge(&session, 1), Some(expected), "{seen}");
    }
}

/// A request could not wait for a question, so rate-limit windows decided about its session.
#[test]
fn a_sign_that_was_decided_without_a_question_is_asked_about_later() {
    for (is_asked, expected) in [(false, Reaction::Hold), (true, Reaction::Nothing)] {
        let mut evidence = begun();
        silent(&mut evidence, 1, 110_000);
        assert_eq!(evidence.fallback(1, at(110_010)), Fallback::Meter);
        evidence.metered(metered(true, 1, 110_020), at(110_030));
        let (_, reaction) = evidence.see(stamp(99, 60), exchange(120_000));
        assert_eq!(reaction, Reaction::Hold);
        if is_asked {
            silent(&mut evidence, 2, 120_100);
        }
        assert_eq!(evidence.fallback(2, at(120_120)), Fallback::Decided);
        assert_eq!(evidence.look(at(120_130)), Reaction::Nothing, "{is_asked}");
        assert_eq!(evidence.look(at(141_000)), expected, "{is_asked}");
    }
}
