//! Tests of a server that does not answer `GET /v1/health`. A session call then takes its place, once in five minutes.

use super::*;

#[test]
fn where_health_says_nothing_one_session_is_asked_for_in_five_minutes() {
    let (mut evidence, mut calls) = (begun(), Vec::new());
    for now in (101_000..1_001_000).step_by(1_000) {
        let _ = evidence.raise(Cause::Unproven, at(now));
        let question = evidence.ask(now, at(now));
        assert!(!evidence.answered(question, Word::Silent, iter::empty(), at(now + 10)));
        match evidence.fallback(now, at(now + 10)) {
            Fallback::Meter => {
                calls.push(now);
                assert_eq!(evidence.fallback(now, at(now + 20)), Fallback::Wait);
                evidence.metered(metered(true, now, now + 20), at(now + 30));
            }
            Fallback::Wait | Fallback::Unreached => panic!("nobody is at it"),
            Fallback::Decided => {}
        }
        assert_eq!(
            evidence.judge(&made(100_000, now + 40), now),
            Some(Fate::Alive)
        );
    }
    assert_eq!(calls, [101_000, 401_000, 701_000]);
}

#[test]
fn where_health_says_nothing_and_a_session_is_lost_all_are() {
    let mut evidence = begun();
    assert_eq!(evidence.raise(Cause::Broken, at(101_000)), Reaction::Hold);
    let question = evidence.ask(1, at(101_000));
    evidence.answered(question, Word::Silent, iter::empty(), at(102_000));
    assert_eq!(evidence.fallback(1, at(102_000)), Fallback::Meter);
    evidence.metered(metered(false, 1, 102_000), at(102_100));
    assert_eq!(evidence.judge(&made(100_000, 102_200), 1), Some(Fate::Gone));
    // Between two such session calls, rate-limit windows decide.
    for (signs, now, is_strange) in [(2, 110_000, false), (3, 120_000, true), (4, 130_000, true)] {
        let _ = evidence.created(Some(stamp(97, 60)), exchange(now - 5_000), true);
        if is_strange {
            let _ = evidence.see(stamp(99, 60), exchange(now - 500));
        }
        let _ = evidence.raise(Cause::Broken, at(now));
        let question = evidence.ask(signs, at(now));
        evidence.answered(question, Word::Silent, iter::empty(), at(now + 1_000));
        assert_eq!(evidence.fallback(signs, at(now + 1_000)), Fallback::Decided);
        // Because of windows alone, sessions are replaced once a minute at most.
        let is_replaced = (now, is_strange) == (120_000, true);
        let fate = evidence.judge(&made(now - 5_000, now + 1_100), signs);
        let expected = if is_replaced { Fate::Gone } else { Fate::Alive };
        assert_eq!(fate, Some(expected), "{now}");
    }
}

/// The lost session is still in the list of live sessions, because no request has needed it since.
#[test]
fn what_is_said_of_one_session_does_not_bring_back_those_that_were_gone_before() {
    let asks_for_one = |evidence: &mut Evidence, signs, now, knows| {
        assert_eq!(evidence.raise(Cause::Broken, at(now)), Reaction::Hold);
        let question = evidence.ask(signs, at(now));
        evidence.answered(question, Word::Silent, iter::empty(), at(now + 10));
        assert_eq!(evidence.fallback(signs, at(now + 10)), Fallback::Meter);
        evidence.metered(metered(knows, signs, now + 20), at(now + 30));
    };
    let mut by_health = begun();
    ask(&mut by_health, 1, 112_000, 110_000);
    asks_for_one(&mut by_health, 2, 120_000, true);
    let mut by_call = begun();
    asks_for_one(&mut by_call, 1, 120_000, false);
    asks_for_one(&mut by_call, 2, 430_000, true);
    for evidence in [by_health, by_call] {
        let fate = |born| evidence.judge(&made(born, 430_100), 2);
        assert_eq!(
            (fate(100_000), fate(121_000)),
            (Some(Fate::Gone), Some(Fate::Alive))
        );
    }
}

/// A session from after a restart is alive. That says nothing of sessions from before the restart.
#[test]
fn a_session_that_is_known_says_nothing_of_older_ones() {
    let mut evidence = begun();
    assert_eq!(evidence.raise(Cause::Broken, at(101_000)), Reaction::Hold);
    let question = evidence.ask(1, at(101_000));
    evidence.answered(question, Word::Silent, iter::empty(), at(102_000));
    assert_eq!(evidence.fallback(1, at(102_000)), Fallback::Meter);
    let newer = Metered {
        made_at: server(101_500),
        born: at(101_480).monotonic,
        is_oldest: false,
        ..metered(true, 1, 102_000)
    };
    evidence.metered(newer, at(102_100));
    let fate = |born| evidence.judge(&made(born, 102_200), 1);
    assert_eq!(
        (fate(100_000), fate(101_600)),
        (Some(Fate::Unclear), Some(Fate::Alive))
    );
}

/// The first attempt did not make the session call, because the call budget was used up or its task ended.
#[test]
fn a_call_in_place_of_the_question_that_is_not_made_is_made_by_another() {
    let mut evidence = begun();
    assert_eq!(evidence.raise(Cause::Broken, at(101_000)), Reaction::Hold);
    let question = evidence.ask(1, at(101_000));
    evidence.answered(question, Word::Silent, iter::empty(), at(102_000));
    assert_eq!(evidence.fallback(1, at(102_000)), Fallback::Meter);
    assert_eq!(evidence.fallback(1, at(102_010)), Fallback::Wait);
    evidence.not_metered();
    assert_eq!(evidence.fallback(1, at(102_020)), Fallback::Meter);
}

#[test]
fn a_sign_that_came_after_the_question_is_still_looked_into() {
    let mut evidence = begun();
    assert_eq!(evidence.raise(Cause::Sign, at(101_000)), Reaction::Hold);
    let question = evidence.ask(1, at(101_000));
    evidence.answered(question, Word::Silent, iter::empty(), at(102_000));
    assert_eq!(evidence.fallback(1, at(102_000)), Fallback::Meter);
    assert_eq!(evidence.raise(Cause::Broken, at(102_050)), Reaction::Hold);
    evidence.metered(metered(true, 1, 102_000), at(102_100));
    assert_eq!(evidence.judge(&made(100_000, 102_200), 2), None);
    assert_eq!(evidence.look(at(102_200)), Reaction::Hold);
}

/// A store keeps the sessions over restarts, so health cannot tell what became of each. Then health stops answering.
#[test]
fn a_session_that_health_has_left_open_is_asked_for_although_another_is_known() {
    let mut evidence = begun();
    ask(&mut evidence, 0, 101_000, 50_000);
    let _ = evidence.raise(Cause::Unproven, at(112_000));
    let question = evidence.ask(1, at(112_000));
    let restarted = Word::Says(Health {
        keeps_sessions: true,
        ..health(110_000, 112_000)
    });
    evidence.answered(question, restarted, iter::empty(), at(112_010));
    let _ = evidence.raise(Cause::Unproven, at(180_000));
    let question = evidence.ask(2, at(180_000));
    evidence.answered(question, Word::Silent, iter::empty(), at(181_000));
    assert_eq!(evidence.fallback(2, at(181_000)), Fallback::Meter);
    let newer = Metered {
        made_at: server(115_000),
        born: at(114_980).monotonic,
        is_oldest: false,
        ..metered(true, 2, 181_000)
    };
    evidence.metered(newer, at(181_100));
    let old = made(SESSION, 181_200);
    let asked_for = Made {
        known_at: server(170_000),
        known: (at(170_000), Duration::from_secs(11)),
        ..old
    };
    let fates = [old, asked_for].map(|made| evidence.judge(&made, 2));
    assert_eq!(fates, [Some(Fate::Unclear), Some(Fate::Alive)]);
}

/// The server's clock was set back, so by its times the newer session looks older.
#[test]
fn what_is_said_of_a_session_from_after_the_servers_clock_was_set_back_says_nothing_of_older_ones()
{
    let mut evidence = begun();
    assert_eq!(evidence.raise(Cause::Sign, at(110_000)), Reaction::Hold);
    let question = evidence.ask(1, at(110_000));
    evidence.answered(question, Word::Silent, iter::empty(), at(111_000));
    assert_eq!(evidence.fallback(1, at(111_000)), Fallback::Meter);
    let newer = Metered {
        made_at: server(50_000),
        born: at(109_000).monotonic,
        is_oldest: false,
        ..metered(true, 1, 111_000)
    };
    evidence.metered(newer, at(111_100));
    let older = evidence.judge(&made(SESSION, 111_200), 1);
    assert_eq!(older, Some(Fate::Unclear));
}

/// The server's clock was set back. By its times, the session is older than the process that answered health before.
#[test]
fn a_session_that_was_made_after_the_last_word_of_health_is_not_gone_by_it() {
    let mut evidence = begun();
    ask(&mut evidence, 1, 105_000, 50_000);
    // The clock is set back by a day.
    let at_then = server(110_000) - Duration::from_secs(24 * 60 * 60);
    evidence.see_clock(at_then, exchange(110_000));
    let made = Made {
        at: at_then,
        known_at: at_then,
        ..made(110_000, 170_000)
    };
    evidence.ask(2, at(170_000));
    assert_eq!(evidence.fallback(2, at(170_500)), Fallback::Meter);
    evidence.metered(metered(true, 2, 170_500), at(170_600));
    assert_eq!(evidence.judge(&made, 2), Some(Fate::Alive));
}

#[test]
fn a_session_that_was_made_after_another_was_missing_is_not_gone_by_that() {
    let mut evidence = begun();
    evidence.ask(1, at(105_000));
    assert_eq!(evidence.fallback(1, at(105_500)), Fallback::Meter);
    evidence.metered(metered(false, 1, 105_500), at(105_600));
    let gone = made(SESSION, 110_000);
    assert_eq!(evidence.judge(&gone, 1), Some(Fate::Gone));
    // The clock is set back by a day.
    let at_then = server(110_000) - Duration::from_secs(24 * 60 * 60);
    evidence.see_clock(at_then, exchange(110_000));
    let younger = Made {
        at: at_then,
        known_at: at_then,
        ..made(110_000, 410_000)
    };
    evidence.ask(2, at(410_000));
    assert_eq!(evidence.fallback(2, at(410_500)), Fallback::Meter);
    let known = Metered {
        made_at: at_then,
        born: younger.born.monotonic,
        ..metered(true, 2, 410_500)
    };
    evidence.metered(known, at(410_600));
    assert_eq!(evidence.judge(&younger, 2), Some(Fate::Alive));
}

/// Two processes take turns to answer, so each create may show the window of the other one. If the new session were
/// replaced for that, its successor would show the same, and so on for ever.
#[test]
fn where_windows_decide_a_session_that_was_made_in_the_new_window_stays() {
    let mut evidence = begun();
    let question = evidence.ask(0, at(100_500));
    evidence.answered(question, Word::Silent, iter::empty(), at(100_600));
    assert_eq!(evidence.fallback(0, at(100_600)), Fallback::Meter);
    evidence.metered(metered(true, 0, 100_600), at(100_700));
    // The create's answer shows a window that began before the first one had ended.
    let made_beside = evidence.created(Some(stamp(99, 60)), exchange(130_000), false);
    assert_eq!(made_beside, Reaction::Hold);
    let question = evidence.ask(1, at(130_100));
    evidence.answered(question, Word::Silent, iter::empty(), at(130_200));
    assert_eq!(evidence.fallback(1, at(130_200)), Fallback::Decided);
    let fates = [100_000, 130_000].map(|born| evidence.judge(&made(born, 130_300), 1));
    assert_eq!(fates, [Some(Fate::Gone), Some(Fate::Alive)]);
    // Signs are damped for a while, because nobody can be asked about them.
    let sign = evidence.raise(Cause::Sign, at(131_000));
    assert_eq!(sign, Reaction::Nothing);
    assert_eq!(evidence.raise(Cause::Broken, at(131_000)), Reaction::Hold);
}

/// Raises a sign and asks a question that does not reach the server.
fn away(evidence: &mut Evidence, signs: u64, now: u64) -> Fallback {
    assert_eq!(evidence.raise(Cause::Broken, at(now)), Reaction::Hold);
    let question = evidence.ask(signs, at(now));
    evidence.answered(question, Word::Away, iter::empty(), at(now + 10));
    evidence.fallback_unreached(signs, at(now + 10))
}

#[test]
fn where_the_whole_server_is_out_of_reach_a_session_call_finds_out_after_a_while_and_then_seldom() {
    let (mut evidence, mut tries) = (begun(), Vec::new());
    for now in (101_000..801_000).step_by(1_000) {
        match away(&mut evidence, now, now) {
            Fallback::Meter => {
                tries.push(now);
                evidence.call_failed(at(now + 20));
                evidence.not_metered();
            }
            fallback => assert_eq!(fallback, Fallback::Unreached),
        }
        assert_eq!(evidence.judge(&made(100_000, now + 40), now), None);
    }
    assert_eq!(tries, [131_000, 431_000, 731_000]);
}

#[test]
fn where_other_calls_are_answered_health_that_is_out_of_reach_is_no_more_than_silent() {
    let mut evidence = begun();
    for now in [101_000, 101_200] {
        assert_eq!(away(&mut evidence, 1, now), Fallback::Unreached);
        evidence.call_answered(at(now + 100));
    }
    assert_eq!(away(&mut evidence, 2, 102_000), Fallback::Meter);
    evidence.metered(metered(true, 2, 102_020), at(102_030));
    assert_eq!(away(&mut evidence, 3, 103_000), Fallback::Decided);
    let fate = evidence.judge(&made(100_000, 103_100), 3);
    assert_eq!(fate, Some(Fate::Alive));
    evidence.call_failed(at(104_000));
    assert_eq!(away(&mut evidence, 4, 105_000), Fallback::Unreached);
    assert_eq!(evidence.judge(&made(100_000, 105_100), 4), None);
    // Health answers, so an outage after that is a new one.
    evidence.call_answered(at(106_000));
    ask(&mut evidence, 5, 107_000, 50_000);
    assert_eq!(away(&mut evidence, 6, 108_000), Fallback::Unreached);
}

#[test]
fn where_one_session_is_missing_each_other_is_asked_for_itself_though_only_a_hint_was_looked_into()
{
    let mut evidence = begun();
    let _ = evidence.raise(Cause::Unproven, at(180_000));
    let question = evidence.ask(1, at(180_000));
    evidence.answered(question, Word::Silent, iter::empty(), at(180_010));
    assert_eq!(evidence.fallback(1, at(180_010)), Fallback::Meter);
    evidence.metered(metered(false, 1, 180_020), at(180_030));
    let younger = made(150_000, 180_100);
    assert_eq!(evidence.judge(&younger, 1), Some(Fate::Unclear));
    assert!(!evidence.is_process_of(&younger));
    // Health is silent again, which proves nothing. But a session created after the missing one was found is not in
    // question.
    let question = evidence.ask(2, at(190_000));
    evidence.answered(question, Word::Silent, iter::empty(), at(190_010));
    assert_eq!(evidence.fallback(2, at(190_010)), Fallback::Decided);
    assert_eq!(evidence.judge(&younger, 2), Some(Fate::Unclear));
    let later = made(185_000, 190_100);
    assert_eq!(evidence.judge(&later, 2), Some(Fate::Alive));
}
