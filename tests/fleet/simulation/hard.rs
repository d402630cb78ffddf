//! Hard lives of fleets: one life in four has more kinds of trouble. A second generator draws them, so the rest of the
//! script, and every other life, stays the same.

use std::time::Duration;

use fastrand::Rng;

use super::script::{Deed, Script, at, millis, secs};
use crate::flaky::Trouble;

pub(crate) fn harden(script: &mut Script) {
    let rng = &mut Rng::with_seed(script.seed ^ 0x5851_f42d_4c95_7f2d);
    for _ in 0..rng.usize(1..4) {
        let more = match rng.u8(0..6) {
            0 => slow_store(rng, script),
            1 => held_up(rng, script),
            2 => steps(rng, script),
            3 => shards(rng, script),
            4 => by_layer(rng, script),
            _ => leaks(rng, script),
        };
        script.plan.extend(more);
    }
}

type Plan = Vec<(Duration, Deed)>;

/// Every step of the store takes about a second, all the time.
fn slow_store(rng: &mut Rng, script: &Script) -> Plan {
    let trouble = Trouble {
        delay: millis(rng, 500..1_500),
        is_late: rng.bool(),
        ..Trouble::default()
    };
    let places = 0..script.places.len();
    let store = |place| (Duration::ZERO, Deed::Store(place, trouble));
    places.map(store).collect()
}

/// Requests are delayed for longer than the last moments of a lease.
fn held_up(rng: &mut Rng, script: &Script) -> Plan {
    let request = |_| {
        let request = Deed::Request {
            place: rng.usize(..script.places.len()),
            gives_up_after: Duration::from_secs(90),
            held_up: millis(rng, 3_000..60_000),
        };
        (at(rng, script.until), request)
    };
    (0..20).map(request).collect()
}

/// The store's clock is stepped.
fn steps(rng: &mut Rng, script: &Script) -> Plan {
    let step = |_| {
        let step = if rng.bool() {
            Deed::StoreForward(secs(rng, 1..400))
        } else {
            Deed::StoreBack(secs(rng, 1..100))
        };
        (at(rng, script.until), step)
    };
    (0..3).map(step).collect()
}

/// Some slots are cut off and others not, for one connection after another.
fn shards(rng: &mut Rng, script: &Script) -> Plan {
    let (mut plan, mut start) = (Plan::new(), at(rng, script.until));
    let half = rng.u8(0..2);
    for place in 0..script.places.len() {
        let trouble = Trouble {
            is_cut: true,
            is_mute: rng.bool(),
            half: Some(half),
            ..Trouble::default()
        };
        plan.push((start, Deed::Store(place, trouble)));
        let later = start + script.lease.mul_f64(rng.f64());
        plan.push((later, Deed::Store(place, Trouble::default())));
        start += millis(rng, 0..10_000);
    }
    plan
}

/// A request through the layer deletes or changes the session.
fn by_layer(rng: &mut Rng, script: &Script) -> Plan {
    let call = |_| {
        let place = rng.usize(..script.places.len());
        let is_delete = rng.bool();
        (at(rng, script.until), Deed::ByLayer { place, is_delete })
    };
    (0..3).map(call).collect()
}

/// A client below the layer follows a redirect to another server.
fn leaks(rng: &mut Rng, script: &Script) -> Plan {
    // Without this feature, the manager cannot notice the leak.
    let leaks = if cfg!(feature = "tower-http") { 2 } else { 0 };
    let leak = |_| {
        (
            at(rng, script.until),
            Deed::Leak(rng.usize(..script.places.len())),
        )
    };
    (0..leaks).map(leak).collect()
}
