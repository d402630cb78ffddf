//! Draws the trouble of one run.

use std::time::Duration;

use fastrand::Rng;
use sipher_session::testing::{Target, What};

use crate::script::{ON_THE_WAY, Weather, at, millis, secs};

/// A request that is delayed for longer than most sessions live, before or after the server handles it.
pub(crate) fn hold_up(rng: &mut Rng, until: Duration) -> (Duration, Weather) {
    let long = secs(rng, 10..600);
    let what = if rng.bool() {
        What::Delay(long)
    } else {
        What::DelayAnswer(long)
    };
    let (on, times) = (Target::Calls, 1);
    (at(rng, until), Weather::Fault { what, on, times })
}

/// A run has only some kinds of trouble, so that each kind also meets long quiet times.
pub(crate) fn weather(rng: &mut Rng, until: Duration) -> Vec<(Duration, Weather)> {
    let kinds: Vec<u8> = (0..rng.usize(0..10)).map(|_| rng.u8(0..36)).collect();
    let mut all = Vec::new();
    for kind in kinds {
        for _ in 0..rng.usize(1..6) {
            let weather = one(rng, kind);
            let start = at(rng, until);
            all.push((start, weather));
        }
    }
    if rng.bool() {
        all.push((at(rng, until), Weather::Clear));
    }
    all
}

fn one(rng: &mut Rng, kind: u8) -> Weather {
    use Target::{Any, Calls, Create, Delete, Get, SessionCalls};
    let calls = [Create, Get, Delete, SessionCalls, SessionCalls];
    let on = *rng.choice(&calls).unwrap_or(&Create);
    let any = *rng.choice(&[Calls, Any, on]).unwrap_or(&Any);
    let on_the_way = millis(rng, 0..ON_THE_WAY);
    let (what, on) = match kind {
        0 => (What::Delay(on_the_way), Calls),
        1 => (What::Delay(millis(rng, 0..40_000)), on),
        2 => (What::DelayAnswer(millis(rng, 0..40_000)), on),
        3 => (What::DelayAnswer(millis(rng, 0..40_000)), Calls),
        4 => (What::Hang, any),
        5 => (What::HangAnswer, any),
        6 => (What::Refuse, any),
        7 => (What::LoseRequest, any),
        8 => (What::LoseAnswer, any),
        9 => (What::HalfBody, on),
        10 => (What::SlowBody(millis(rng, 1..200)), on),
        11 => (What::DuplicateDelivery, any),
        12 => (What::Status(500), any),
        13 => (What::Status(502), any),
        14 => (What::Status(503), any),
        15 => (What::Status(504), any),
        16 => (What::Status(410), Calls),
        17 => (What::Html(502), any),
        18 => (What::Html(200), on),
        19 => (What::Malformed, on),
        20 => (What::Huge(100_000), on),
        21 => {
            let (retry_after, in_body) = (rng.bool().then(|| rng.u64(0..90)), rng.bool());
            let what = What::RateLimited {
                retry_after,
                in_body,
            };
            (what, any)
        }
        22 => (What::EchoWrong, Create),
        23 => (What::DropDefault("chain".into()), Create),
        24 => (What::ShortLife(secs(rng, 1..90)), Create),
        25 => (What::ExpireEarly(secs(rng, 1..60)), Create),
        26 => (What::RedirectTo("https://elsewhere.example/".into()), on),
        27 => return Weather::Restart,
        28 => return Weather::Evict(rng.usize(..)),
        29 => return Weather::Capacity(rng.usize(1..6)),
        30 => return Weather::Latency(Duration::from_millis(rng.u64(0..300))),
        31 => {
            return match rng.u8(0..3) {
                0 => Weather::RateLimit(Some(rng.u32(1..20))),
                1 => Weather::RateLimit(None),
                // Only the quota of the first key, because most requests ask for its sessions.
                _ => Weather::Burn(0),
            };
        }
        32 => return Weather::Suspend(secs(rng, 1..4_000)),
        33 => return Weather::ServerForward(secs(rng, 1..400_000)),
        34 => return Weather::ServerBack(secs(rng, 1..400_000)),
        _ if rng.bool() => return Weather::WallForward(secs(rng, 1..4_000)),
        _ => return Weather::WallBack(secs(rng, 1..400_000)),
    };
    let times = if rng.u8(..) < 200 { 1 } else { rng.usize(2..8) };
    Weather::Fault { what, on, times }
}
