//! Lives as in production: all seeds from [`PRODUCTION`] on, and one in four of the others if `SIM_PRODUCTION` is set.
//! The server restarts between two calls, so that no call fails. The evidence that could show this is late, missing or
//! wrong. A generator of their own draws these lives, so every other life stays the same.

use std::{env, time::Duration};

use fastrand::Rng;
use sipher_session::testing::{Solana, Target, What};

use crate::script::{Call, ON_THE_WAY, Script, Weather, at, millis, secs};

/// All seeds from this one on are lives in production.
pub(crate) const PRODUCTION: u64 = 1 << 40;

pub(crate) fn is_production(seed: u64) -> bool {
    seed >= PRODUCTION || (seed % 4 == 3 && env::var_os("SIM_PRODUCTION").is_some())
}

pub(crate) fn befall(script: &mut Script) {
    let rng = &mut Rng::with_seed(script.seed ^ 0x2545_f491_4f6c_dd1d);
    script.proves = script.late || rng.u8(0..4) > 0;
    // Half of these lives have no other trouble, so the checker can judge more strictly which questions are asked.
    if rng.bool() {
        script.weather.clear();
        script.hand.clear();
        script.replicas = 1;
        script.settings.verify_every = None;
    }
    traffic(rng, script);
    restarts(rng, script);
    if rng.bool() {
        elsewhere(rng, script);
    }
    for _ in 0..rng.usize(0..4) {
        match rng.u8(0..11) {
            0 => solana(rng, script),
            1..4 => health(rng, script),
            4 => replicas(rng, script),
            5 => script.edges = rng.u8(2..5),
            6 => strangers(rng, script),
            7 => late_answers(rng, script),
            8 => clocks(rng, script),
            9 => gateways(rng, script),
            _ => callers(rng, script),
        }
    }
    script.is_opaque = rng.u8(0..4) == 0;
}

/// Requests that follow one another for a while, with about the same pause.
fn traffic(rng: &mut Rng, script: &mut Script) {
    for _ in 0..rng.usize(1..5) {
        let mut start = at(rng, script.until);
        let pause = *rng
            .choice(&[60, 400, 1_000, 5_000, 30_000])
            .unwrap_or(&1_000);
        let by_alias = rng.u8(0..4) == 0;
        for _ in 0..rng.usize(10..80) {
            start += millis(rng, pause / 2..pause * 3 / 2);
            let call = Call {
                by_alias,
                gives_up_after: Duration::from_secs(90),
                ..Call::default()
            };
            script.calls.push((start, call));
        }
    }
}

/// Restarts at any time, or right before or after a request.
fn restarts(rng: &mut Rng, script: &mut Script) {
    for _ in 0..rng.usize(1..8) {
        let near = rng.usize(..script.calls.len());
        let moment = match rng.u8(0..4) {
            0 => at(rng, script.until),
            1 => script.calls[near].0.saturating_sub(millis(rng, 0..400)),
            2 => script.calls[near].0 + millis(rng, 0..400),
            // At the end of that request's rate-limit window.
            _ => script.calls[near].0 + millis(rng, 58_000..62_000),
        };
        script.weather.push((moment, Weather::Restart));
    }
}

fn elsewhere(rng: &mut Rng, script: &mut Script) {
    for _ in 0..rng.usize(1..20) {
        let call = Call {
            outside: Some(rng.usize(..)),
            gives_up_after: Duration::from_secs(90),
            ..Call::default()
        };
        script.calls.push((at(rng, script.until), call));
    }
}

/// The Solana node behind the server cannot be reached, or hangs, and so does health.
fn solana(rng: &mut Rng, script: &mut Script) {
    let start = at(rng, script.until);
    let state = if rng.bool() {
        Solana::Away
    } else {
        Solana::Hangs
    };
    script.weather.push((start, Weather::Solana(state)));
    let end = start + secs(rng, 1..1_200);
    script.weather.push((end, Weather::Solana(Solana::Up)));
    if rng.bool() {
        let what = What::Error(503, "SOLANA_RPC_UNAVAILABLE");
        let times = rng.usize(1..40);
        script
            .weather
            .push((start, fault(what, Target::Calls, times)));
    }
}

/// Health is slow, late, missing or old, or says too little.
fn health(rng: &mut Rng, script: &mut Script) {
    let age = secs(rng, 1..3_000);
    let what = match rng.u8(0..10) {
        0 => What::Delay(millis(rng, 0..3_000)),
        1 => What::DelayAnswer(millis(rng, 0..3_000)),
        2 => What::Hang,
        3 => What::Status(404),
        4 => What::Html(200),
        5 => What::Html(503),
        6 => What::NoUptime,
        7 => What::ShuttingDown,
        8 => What::CachedHealth { age, is_told: true },
        _ => What::CachedHealth {
            age,
            is_told: rng.u8(0..4) > 0,
        },
    };
    let times = if rng.bool() { rng.usize(1..4) } else { 1_000 };
    let fault = fault(what, Target::Health, times);
    script.weather.push((at(rng, script.until), fault));
}

fn replicas(rng: &mut Rng, script: &mut Script) {
    script.replicas = rng.usize(2..4);
    script.common_store = Some(rng.bool());
    for _ in 0..rng.usize(0..4) {
        let one = Weather::RestartOne(rng.usize(0..3));
        script.weather.push((at(rng, script.until), one));
    }
}

/// The edge shows the rate-limit window of another address.
fn strangers(rng: &mut Rng, script: &mut Script) {
    for _ in 0..rng.usize(1..10) {
        let what = What::SeenFrom([192, 0, 2, rng.u8(1..4)].into());
        let fault = fault(what, Target::Calls, rng.usize(1..4));
        script.weather.push((at(rng, script.until), fault));
    }
}

/// Answers come late and out of order.
fn late_answers(rng: &mut Rng, script: &mut Script) {
    let start = at(rng, script.until);
    for _ in 0..rng.usize(5..40) {
        let what = if rng.bool() {
            What::DelayAnswer(millis(rng, 0..ON_THE_WAY))
        } else {
            What::Delay(millis(rng, 0..ON_THE_WAY))
        };
        script.weather.push((start, fault(what, Target::Calls, 1)));
    }
    for _ in 0..rng.usize(5..40) {
        let call = Call {
            gives_up_after: Duration::from_secs(90),
            ..Call::default()
        };
        script.calls.push((start + millis(rng, 0..10_000), call));
    }
    if rng.bool() {
        let moment = start + millis(rng, 0..10_000);
        script.weather.push((moment, Weather::Restart));
    }
}

/// The server's clock steps, or the clock of an edge is wrong.
fn clocks(rng: &mut Rng, script: &mut Script) {
    for _ in 0..rng.usize(1..4) {
        let by = secs(rng, 1..4_000);
        let step = match rng.u8(0..3) {
            0 => Weather::ServerForward(by),
            1 => Weather::ServerBack(by),
            _ => Weather::EdgeClock(Some(rng.i64(-4_000..4_000))),
        };
        script.weather.push((at(rng, script.until), step));
    }
}

/// A gateway answers while the server restarts.
fn gateways(rng: &mut Rng, script: &mut Script) {
    for _ in 0..rng.usize(1..5) {
        let start = at(rng, script.until);
        let status = *rng.choice(&[520, 521, 522, 525, 527, 530]).unwrap_or(&521);
        let what = What::Cloudflare(status);
        script
            .weather
            .push((start, fault(what, Target::Calls, rng.usize(1..6))));
        if rng.bool() {
            let moment = start + millis(rng, 0..2_000);
            script.weather.push((moment, Weather::Restart));
        }
    }
}

/// Callers give up, many of them in a row.
fn callers(rng: &mut Rng, script: &mut Script) {
    let mut start = at(rng, script.until);
    let (times, pause) = (rng.usize(5..60), rng.u64(100..3_000));
    script
        .weather
        .push((start, fault(What::Hang, Target::Calls, times)));
    for _ in 0..times {
        start += Duration::from_millis(pause);
        let call = Call {
            gives_up_after: millis(rng, 50..1_500),
            ..Call::default()
        };
        script.calls.push((start, call));
    }
}

fn fault(what: What, on: Target, times: usize) -> Weather {
    Weather::Fault { what, on, times }
}
