//! Hard lives: one life in four has more kinds of trouble. A second generator draws them, so the rest of the script,
//! and every other life, stays the same.

use std::time::Duration;

use fastrand::Rng;
use sipher_session::testing::{Target, What};

use crate::script::{
    Call, FREE, KEYS, MADE_UP, ON_THE_WAY, Script, SessionCall, Weather, at, call, millis, secs,
};

pub(crate) fn is_hard(seed: u64) -> bool {
    seed % 4 == 1
}

pub(crate) fn harden(script: &mut Script) {
    let rng = &mut Rng::with_seed(script.seed ^ 0x5851_f42d_4c95_7f2d);
    for _ in 0..rng.usize(1..4) {
        match rng.u8(0..9) {
            0 => {
                script.settings.burst = 1;
                script.settings.per_minute = rng.u32(6..40);
            }
            1 | 2 => refused(rng, script),
            3 => through_the_layer(rng, script),
            4 => made_up_keys(rng, script),
            5 => unpolled(rng, script),
            6 => sign(rng, script),
            7 => evictions(rng, script),
            _ => steps(rng, script),
        }
    }
}

/// Requests ask for many sets of defaults of one key at once, while creates fail, and again when creates work.
fn refused(rng: &mut Rng, script: &mut Script) {
    let (start, key) = (at(rng, script.until), rng.usize(0..FREE));
    let what = match rng.u8(0..5) {
        0 => What::Status(401),
        1 => What::Status(403),
        2 => What::Status(503),
        3 => What::Hang,
        _ => What::RateLimited {
            retry_after: Some(rng.u64(1..60)),
            in_body: true,
        },
    };
    let (on, times) = (Target::Create, rng.usize(1..4));
    script
        .weather
        .push((start, Weather::Fault { what, on, times }));
    let sets = rng.usize(20..60);
    for moment in [start, start + secs(rng, 1..120)] {
        for set in 0..sets {
            let call = Call {
                key: Some(key),
                set: Some(set),
                gives_up_after: millis(rng, 100..60_000),
                ..Call::default()
            };
            script.calls.push((moment + millis(rng, 0..1_000), call));
        }
    }
}

/// Under traffic, a request through the layer deletes or changes the manager's own session.
fn through_the_layer(rng: &mut Rng, script: &mut Script) {
    for _ in 0..rng.usize(1..4) {
        let (start, key) = (at(rng, script.until), some_key(rng));
        train(rng, script, start, &[key]);
        let by_layer = Some(if rng.bool() {
            SessionCall::Delete
        } else {
            SessionCall::Patch(rng.usize(..))
        });
        let call = Call {
            key,
            by_layer,
            gives_up_after: Duration::from_secs(90),
            ..Call::default()
        };
        script.calls.push((start + millis(rng, 100..4_000), call));
    }
}

fn made_up_keys(rng: &mut Rng, script: &mut Script) {
    let start = at(rng, script.until);
    for key in KEYS..KEYS + MADE_UP {
        let call = Call {
            key: Some(key),
            gives_up_after: millis(rng, 0..90_000),
            ..Call::default()
        };
        script.calls.push((start + millis(rng, 0..5_000), call));
    }
}

/// The caller polls its future late, as behind a queue. Sometimes the session has expired by then.
fn unpolled(rng: &mut Rng, script: &mut Script) {
    let ttl = u64::try_from(script.settings.ttl.as_millis()).unwrap_or(u64::MAX);
    for _ in 0..rng.usize(3..12) {
        let call = Call {
            polled_after: millis(rng, 0..ttl * 3 / 2),
            is_eager: rng.bool(),
            gives_up_after: Duration::from_secs(90),
            ..call(rng, FREE)
        };
        script.calls.push((at(rng, script.until), call));
    }
}

/// Requests of several keys in one thread, at the moment of a sign that the server has lost everything.
fn sign(rng: &mut Rng, script: &mut Script) {
    let start = at(rng, script.until);
    train(rng, script, start, &[Some(0), Some(1), Some(2)]);
    let moment = start + millis(rng, 2_000..4_000);
    script.weather.push((moment, Weather::Restart));
    let what = What::Status(*rng.choice(&[502, 503, 504]).unwrap_or(&502));
    let (on, times) = (Target::Calls, 1);
    script
        .weather
        .push((moment, Weather::Fault { what, on, times }));
}

/// More sessions than `max_sessions`, under requests that layers remember and that take long.
fn evictions(rng: &mut Rng, script: &mut Script) {
    script.settings.max_sessions = rng.u64(1..4);
    let start = at(rng, script.until);
    train(rng, script, start, &[Some(0), Some(1), Some(2)]);
    for _ in 0..rng.usize(5..20) {
        let what = What::Delay(millis(rng, 0..ON_THE_WAY));
        let (on, times) = (Target::Calls, 1);
        let moment = start + millis(rng, 0..5_000);
        script
            .weather
            .push((moment, Weather::Fault { what, on, times }));
        let call = Call {
            set: Some(rng.usize(..)),
            ..call(rng, FREE)
        };
        script.calls.push((moment, call));
    }
}

/// The server's clock is stepped often, by small amounts.
fn steps(rng: &mut Rng, script: &mut Script) {
    for _ in 0..rng.usize(2..8) {
        let by = secs(rng, 1..300);
        let step = if rng.bool() {
            Weather::ServerForward(by)
        } else {
            Weather::ServerBack(by)
        };
        script.weather.push((at(rng, script.until), step));
    }
}

fn some_key(rng: &mut Rng) -> Option<usize> {
    rng.bool().then(|| rng.usize(0..FREE))
}

/// Requests of several keys in turn. The requests of one key are alike.
fn train(rng: &mut Rng, script: &mut Script, mut start: Duration, keys: &[Option<usize>]) {
    for n in 0..rng.usize(30..100) {
        start += millis(rng, 5..150);
        let call = Call {
            key: keys[n % keys.len()],
            gives_up_after: Duration::from_secs(90),
            ..Call::default()
        };
        script.calls.push((start, call));
    }
}
