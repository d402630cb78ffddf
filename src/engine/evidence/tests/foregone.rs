//! Tests of when it is certain what the next call of health will bring, so that no request waits for it.

use super::*;

#[test]
fn what_health_will_say_is_foregone_after_a_minute_unless_it_is_being_asked_or_a_call_has_failed() {
    let mut evidence = begun();
    let silent = |evidence: &mut Evidence, now| {
        let question = evidence.ask(1, at(now));
        let is_foregone = evidence.foregone_word(at(now)).is_some();
        assert!(!is_foregone, "it is being asked at {now}");
        evidence.answered(question, Word::Silent, iter::empty(), at(now + 10));
    };
    for now in [110_000, 112_000, 114_000] {
        silent(&mut evidence, now);
        assert_eq!(evidence.foregone_word(at(now + 20)), None, "{now}");
    }
    assert_eq!(evidence.foregone_word(at(169_990)), None);
    assert_eq!(evidence.foregone_word(at(170_000)), Some(Word::Silent));
    let _ = evidence.raise(Cause::Broken, at(171_000));
    assert_eq!(evidence.foregone_word(at(171_000)), None);
    evidence.call_answered(at(172_000));
    let was_asked = evidence.foregone_word(at(172_000));
    assert_eq!(was_asked, None, "a server that is back may say more");
    silent(&mut evidence, 180_000);
    assert_eq!(evidence.foregone_word(at(180_020)), Some(Word::Silent));
    evidence.call_failed(at(181_000));
    assert_eq!(evidence.foregone_word(at(181_000)), None);
    evidence.call_answered(at(180_900));
    evidence.call_answered(at(182_000));
    silent(&mut evidence, 181_500);
    assert_eq!(evidence.foregone_word(at(183_000)), None, "asked too early");
    silent(&mut evidence, 184_000);
    assert_eq!(evidence.foregone_word(at(184_020)), Some(Word::Silent));
    ask(&mut evidence, 2, 190_000, 50_000);
    assert_eq!(evidence.foregone_word(at(190_020)), None);
}

#[test]
fn after_health_has_answered_calls_count_as_answered_again() {
    let mut evidence = begun();
    let _ = evidence.raise(Cause::Broken, at(101_000));
    ask(&mut evidence, 1, 101_200, 50_000);
    for now in [110_000, 130_000, 150_000, 175_000] {
        let question = evidence.ask(1, at(now));
        evidence.answered(question, Word::Silent, iter::empty(), at(now + 10));
    }
    assert_eq!(evidence.foregone_word(at(176_000)), Some(Word::Silent));
}

#[test]
fn a_call_that_fails_late_does_not_undo_what_later_calls_have_shown() {
    let mut evidence = begun();
    for now in [110_000, 130_000, 150_000, 175_000] {
        let question = evidence.ask(1, at(now));
        evidence.answered(question, Word::Away, iter::empty(), at(now + 10));
        evidence.call_answered(at(now + 100));
    }
    assert_eq!(evidence.foregone_word(at(176_000)), Some(Word::Away));
    evidence.call_failed(at(174_000));
    assert!(evidence.is_health_alone_away());
    assert_eq!(evidence.foregone_word(at(176_000)), Some(Word::Away));
}
