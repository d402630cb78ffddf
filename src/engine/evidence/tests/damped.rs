//! Tests of damped signs: after a false alarm, the next sign holds no requests for a while.

use super::*;

#[test]
fn a_sign_that_only_the_sessions_could_judge_damps_the_next_once_one_is_there() {
    let mut evidence = begun();
    for second in [112, 113] {
        let now = at(second * 1_000);
        assert_eq!(evidence.raise(Cause::Sign, now), Reaction::Hold, "{second}");
        let question = evidence.ask(second, now);
        let kept = Health {
            keeps_sessions: true,
            ..health(110_000, second * 1_000)
        };
        let sessions = iter::once(made(109_500, second * 1_000));
        evidence.answered(question, Word::Says(kept), sessions, now);
    }
    evidence.goes_on(at(113_010));
    assert_eq!(evidence.raise(Cause::Sign, at(114_000)), Reaction::Nothing);
    assert_eq!(evidence.raise(Cause::Sign, at(124_000)), Reaction::Hold);
}

/// The lost session stays in the list of live sessions, because no request needs it and replaces it.
#[test]
fn a_session_that_is_gone_is_told_of_once_and_does_not_keep_later_signs_from_being_damped() {
    let mut evidence = begun();
    let mut says = |second: u64| {
        let now = at(second * 1_000);
        let reaction = evidence.raise(Cause::Sign, now);
        let question = evidence.ask(second, now);
        let sessions = [100_000, 111_500].map(|born| made(born, second * 1_000));
        let word = Word::Says(health(110_000, second * 1_000));
        let is_another = evidence.answered(question, word, sessions.into_iter(), now);
        (reaction, is_another)
    };
    assert_eq!(says(112), (Reaction::Hold, true));
    assert_eq!(says(113), (Reaction::Hold, false));
    assert_eq!(says(114), (Reaction::Nothing, false), "the last was none");
}

/// Health cannot tell what became of the sessions, because a store keeps them over restarts. So each has to be checked.
#[test]
fn trouble_that_goes_on_is_asked_about_ever_more_seldom_whatever_health_leaves_open() {
    for (cause, first) in [(Cause::Broken, 0), (Cause::Sign, 1)] {
        let (mut evidence, mut now) = (begun(), 110_000);
        let pauses = [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000];
        for (signs, expected) in (1..).zip(pauses.into_iter().skip(1 - first)) {
            assert_eq!(evidence.raise(cause, at(now)), Reaction::Hold);
            let question = evidence.ask(signs, at(now));
            let kept = Health {
                keeps_sessions: true,
                ..health(105_000, now)
            };
            let sessions = iter::once(made(SESSION, now));
            evidence.answered(question, Word::Says(kept), sessions, at(now));
            let pause = evidence.may_ask_in(at(now));
            assert_eq!(pause, Duration::from_millis(expected), "{cause:?}");
            now += expected;
        }
    }
}
