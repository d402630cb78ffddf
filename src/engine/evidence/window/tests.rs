use http::HeaderMap;

use super::*;

/// Sees an answer. The times of sending and receipt are in milliseconds.
fn see(windows: &mut Windows, (remaining, reset): (u32, u32), sent: u64, received: u64) -> Seen {
    windows.see(Stamp::new(remaining, reset), exchange(sent, received))
}

fn exchange(sent: u64, received: u64) -> Exchange {
    let at = |millis| Reading {
        monotonic: Duration::from_millis(millis),
        wall: Duration::from_millis(millis),
    };
    let (sent, received) = (at(sent), at(received));
    Exchange { sent, received }
}

fn begun(remaining: u32) -> Windows {
    let mut windows = Windows::default();
    windows.begin_with(Stamp::new(remaining, 60), exchange(0, 50));
    windows
}

#[test]
fn an_answer_of_the_same_window_with_fewer_calls_left_proves_the_process() {
    let mut windows = begun(97);
    for (stamp, at) in [
        ((96, 60), 400),
        ((95, 57), 3_100),
        ((94, 57), 3_200),
        ((20, 1), 59_500),
    ] {
        assert_eq!(
            see(&mut windows, stamp, at, at + 40),
            Seen::Same,
            "{stamp:?}"
        );
    }
}

#[test]
fn as_many_calls_left_or_more_prove_nothing() {
    for remaining in [97, 98, 99] {
        let seen = see(&mut begun(97), (remaining, 60), 500, 550);
        assert_eq!(seen, Seen::New { beside: true }, "{remaining}");
    }
}

#[test]
fn an_answer_that_fits_a_window_which_is_not_confirmed_proves_nothing() {
    let mut windows = begun(97);
    assert_eq!(
        see(&mut windows, (99, 60), 600, 650),
        Seen::New { beside: true }
    );
    assert_eq!(see(&mut windows, (98, 60), 700, 750), Seen::Pending);
    // This answer has fewer calls left than both windows, so it may belong to either.
    assert_eq!(see(&mut windows, (96, 60), 800, 850), Seen::Pending);
    // The next answer fits both windows, and is counted in the unconfirmed one. So the one after it fits only the
    // confirmed window. It still proves nothing, because either process may have written either answer.
    assert_eq!(see(&mut windows, (80, 60), 850, 880), Seen::Pending);
    assert_eq!(see(&mut windows, (90, 60), 890, 920), Seen::Pending);
}

/// All requests are sent and answered at one and the same instant.
#[test]
fn two_answers_of_one_window_never_have_as_many_calls_left() {
    let mut windows = begun(97);
    assert_eq!(see(&mut windows, (95, 60), 50, 50), Seen::Same);
    for remaining in [97, 95] {
        let seen = see(&mut windows.clone(), (remaining, 60), 50, 50);
        assert_eq!(seen, Seen::New { beside: true }, "{remaining}");
    }
    assert_eq!(see(&mut windows, (96, 60), 50, 50), Seen::Same);
}

/// A caller that goes on after a 429 gets one such answer after another.
#[test]
fn a_window_that_is_used_up_is_neither_a_proof_nor_an_alarm() {
    let mut windows = begun(1);
    assert_eq!(see(&mut windows, (0, 59), 1_000, 1_050), Seen::Same);
    for at in [1_100, 1_200, 2_000] {
        assert_eq!(see(&mut windows, (0, 59), at, at + 50), Seen::Pending);
    }
    assert_eq!(
        see(&mut windows, (0, 60), 10_000, 10_050),
        Seen::New { beside: true }
    );
}

#[test]
fn a_window_that_begins_before_the_older_one_has_ended_is_new_beside_it() {
    for at in [2_000, 30_000, 57_900] {
        let seen = see(&mut begun(97), (90, 60), at, at + 20);
        assert_eq!(seen, Seen::New { beside: true }, "{at}");
    }
}

#[test]
fn an_ended_window_is_no_proof_and_not_beside_anything() {
    let mut windows = begun(97);
    let seen = see(&mut windows, (90, 60), 61_000, 61_020);
    assert_eq!(seen, Seen::New { beside: false });
    // This request was sent and answered while the older window was open.
    let seen = see(&mut begun(97), (90, 1), 59_000, 60_200);
    assert_eq!(seen, Seen::Same);
}

/// The request was sent in a window that ended at 60 s. Its answer arrives at 95 s, when the next window is known.
#[test]
fn an_answer_that_was_held_up_may_be_of_a_window_that_ended_before_the_known_one_began() {
    let mut windows = begun(97);
    let next = see(&mut windows, (99, 60), 61_000, 61_050);
    assert_eq!(next, Seen::New { beside: false });
    windows.confirm(Duration::from_secs(62));
    let late = see(&mut windows.clone(), (90, 6), 54_000, 95_000);
    assert_eq!(late, Seen::New { beside: false });
    // By its own times, the window of this answer was still open when the known window had begun.
    let late = see(&mut windows, (90, 30), 54_000, 85_000);
    assert_eq!(late, Seen::New { beside: true });
}

#[test]
fn answers_may_come_out_of_order() {
    let mut windows = begun(97);
    assert_eq!(see(&mut windows, (94, 60), 110, 150), Seen::Same);
    // This request was sent before the answer above was received.
    assert_eq!(see(&mut windows, (95, 60), 105, 160), Seen::Same);
    assert_eq!(
        see(&mut windows, (96, 60), 170, 190),
        Seen::New { beside: true }
    );
}

#[test]
fn a_new_window_is_pending_until_it_is_confirmed_by_what_was_asked_after_it() {
    let mut windows = begun(97);
    assert_eq!(
        see(&mut windows, (99, 60), 20_000, 20_050),
        Seen::New { beside: true }
    );
    assert_eq!(see(&mut windows, (98, 60), 20_100, 20_150), Seen::Pending);
    windows.confirm(Duration::from_millis(20_049));
    assert_eq!(see(&mut windows, (97, 60), 20_200, 20_250), Seen::Pending);
    windows.confirm(Duration::from_millis(20_300));
    let its = (96, 60);
    assert_eq!(see(&mut windows, its, 20_400, 20_450), Seen::Beside);
    // The earlier window is kept, because a CDN has several addresses.
    assert_eq!(see(&mut windows, (96, 40), 20_500, 20_550), Seen::Same);
    // An answer that the session itself is alive tells the two windows apart.
    windows.is_of_the_session(Stamp::new(its.0, its.1), exchange(20_400, 20_450));
    assert_eq!(see(&mut windows, (95, 60), 20_600, 20_650), Seen::Same);
}

#[test]
fn an_answer_of_the_session_vouches_for_its_own_window_and_not_for_one_that_had_as_many_calls_left()
{
    let mut windows = begun(97);
    windows.keep_since(Duration::ZERO);
    let beside = Seen::New { beside: true };
    assert_eq!(see(&mut windows, (98, 60), 500, 550), beside);
    assert_eq!(see(&mut windows, (97, 60), 600, 650), Seen::Pending);
    windows.is_of_the_session(Stamp::new(97, 60), exchange(600, 650));
    // This answer fits both windows.
    assert_eq!(see(&mut windows, (95, 60), 700, 750), Seen::Pending);
}

#[test]
fn an_answer_that_took_long_proves_nothing() {
    assert_eq!(see(&mut begun(97), (90, 55), 5_000, 10_001), Seen::Vague);
    assert_eq!(see(&mut begun(97), (90, 55), 5_000, 10_000), Seen::Same);
}

#[test]
fn forgotten_values_ask_for_more_and_never_for_less() {
    let mut windows = begun(400);
    for left in (200..400).rev() {
        let at = 100 * u64::from(400 - left);
        assert_eq!(
            see(
                &mut windows,
                (left, 60 - u32::try_from(at / 1000).unwrap()),
                at,
                at + 10
            ),
            Seen::Same
        );
    }
    // Before this request was sent, an answer with fewer calls left had been received. The test sees that although the
    // old values were merged.
    assert_eq!(
        see(&mut windows, (393, 60), 450, 5_800),
        Seen::New { beside: true }
    );
}

#[test]
fn no_more_windows_are_kept_than_there_is_room_for() {
    let mut windows = Windows::default();
    for second in 0..100_u64 {
        see(&mut windows, (99, 60), second * 3_000, second * 3_000 + 10);
    }
    assert!(windows.0.len() <= MOST);
}

#[test]
fn only_what_the_application_wrote_is_read() {
    let headers = |names: &[(&'static str, &'static str)]| -> HeaderMap {
        let pairs = names
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        pairs.collect()
    };
    let all = [
        ("x-request-id", "1"),
        ("ratelimit-policy", "100;w=60"),
        ("ratelimit-remaining", "96"),
        ("ratelimit-reset", "57"),
    ];
    assert_eq!(Stamp::of(&headers(&all)), Some(Stamp::new(96, 57)));
    for missing in 0..all.len() {
        let mut some = all.to_vec();
        some.remove(missing);
        assert_eq!(Stamp::of(&headers(&some)), None, "{some:?}");
    }
    let mut odd = all;
    odd[2].1 = "many";
    assert_eq!(Stamp::of(&headers(&odd)), None);
}

/// After the slow session call, the server may restart. The window of the next process then fits the slow answer as
/// well.
#[test]
fn a_session_call_that_took_long_confirms_no_window() {
    let slow = exchange(0, 20_000);
    let stamp = Stamp::new(97, 60);
    let mut begun = Windows::default();
    begun.begin_with(stamp, slow);
    assert_eq!(see(&mut begun, (96, 60), 21_000, 21_050), Seen::Pending);
    let mut asked_for = Windows::default();
    asked_for.see(stamp, slow);
    asked_for.is_of_the_session(stamp, slow);
    assert_eq!(see(&mut asked_for, (96, 60), 21_000, 21_050), Seen::Pending);
}
