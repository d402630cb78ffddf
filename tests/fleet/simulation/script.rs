//! The script of one run. One number determines every random choice.

use std::time::Duration;

use fastrand::Rng;
use sipher_session::{
    Chain, PrivacyLevel, SessionDefaults,
    testing::{Target, What},
};

use super::hard;
use crate::flaky::Trouble;

/// How long a request may be delayed below the layer: shorter than the shortest `hard`.
pub(crate) const ON_THE_WAY: u64 = 3_000;
/// The longest latency of the server.
const LATENCY: u64 = 1_500;

#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    /// The member lease, which all processes share.
    pub(crate) lease: Duration,
    pub(crate) places: Vec<Place>,
    pub(crate) latency: Duration,
    pub(crate) store_ahead: i64,
    pub(crate) until: Duration,
    pub(crate) plan: Vec<(Duration, Deed)>,
    /// Whether the wall clocks differ by more than a renewal can make up for.
    pub(crate) is_skewed: bool,
    pub(crate) end: End,
}

/// A machine, on which one process after another runs.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) key: usize,
    pub(crate) home: usize,
    pub(crate) ttl: Duration,
    pub(crate) create_timeout: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) linger: Duration,
    pub(crate) per_minute: u32,
    pub(crate) burst: u32,
    pub(crate) verify_adopted: bool,
    pub(crate) fails_without_store: bool,
    /// How far the machine's wall clock is ahead, in milliseconds.
    pub(crate) ahead: i64,
}

#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Request {
        place: usize,
        gives_up_after: Duration,
        held_up: Duration,
    },
    Start(usize),
    Kill(usize),
    Shutdown(usize, Duration),
    Store(usize, Trouble),
    Flush,
    Fault {
        what: What,
        on: Target,
        times: usize,
    },
    Clear,
    Invalidate(usize),
    Change {
        place: usize,
        to: usize,
        is_patch: bool,
        gives_up_after: Duration,
    },
    SetBack(usize, Duration),
    SetForward(usize, Duration),
    /// All machines sleep at once.
    Sleep(Duration),
    StoreForward(Duration),
    StoreBack(Duration),
    /// Deletes or changes the session of a process, by a request through its layer.
    ByLayer {
        place: usize,
        is_delete: bool,
    },
    /// A request is redirected to another server.
    Leak(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    OneByOne,
    AtOnce,
    Killed,
}

pub(crate) fn defaults(which: usize) -> SessionDefaults {
    let none = SessionDefaults::new();
    match which % 4 {
        0 => none.chain(Chain::Near),
        1 => none.chain(Chain::Sui).privacy_level(PrivacyLevel::Shielded),
        2 => none.privacy_level(PrivacyLevel::Maximum),
        _ => none.chain(Chain::Base),
    }
}

impl Script {
    pub(crate) fn of(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let ttl = match rng.u8(0..20) {
            0..15 => secs(rng, 60..300),
            15..19 => secs(rng, 300..1_200),
            _ => secs(rng, 1_200..3_600),
        };
        let lease = secs(rng, 90..300);
        // The run covers few or many lives of a session.
        let until = ttl.mul_f64(0.5 + 3.0 * rng.f64()).max(lease * 2);
        let skew = match rng.u8(0..10) {
            0..5 => 0,
            5..8 => millis_of(ttl) / 20,
            _ => 2 * millis_of(ttl),
        };
        let partitions: Vec<_> = (0..rng.usize(1..=3))
            .map(|_| (rng.usize(0..2), rng.usize(0..4)))
            .collect();
        let places = (0..rng.usize(2..=8)).map(|_| {
            let (key, home) = partitions[rng.usize(..partitions.len())];
            place(rng, key, home, ttl, skew)
        });
        let places: Vec<_> = places.collect();
        let mut plan = requests(rng, until, places.len());
        let calm = rng.u8(..) < 25;
        if !calm {
            trouble(rng, until, lease, places.len(), skew, &mut plan);
        }
        let mut script = Self {
            seed,
            lease,
            places,
            latency: millis(rng, 0..LATENCY),
            store_ahead: rng.i64(-100_000..100_000),
            until,
            plan,
            is_skewed: skew > millis_of(ttl) / 20,
            end: match rng.u8(0..5) {
                0 => End::Killed,
                1..3 => End::AtOnce,
                _ => End::OneByOne,
            },
        };
        if seed % 4 == 1 {
            hard::harden(&mut script);
        }
        script.plan.sort_by_key(|(at, _)| *at);
        script
    }

    pub(crate) fn ttl(&self) -> (Duration, Duration) {
        let ttls = || self.places.iter().map(|place| place.ttl);
        (ttls().min().unwrap(), ttls().max().unwrap())
    }

    pub(crate) fn has(&self, is_meant: impl Fn(&Deed) -> bool) -> bool {
        self.plan.iter().any(|(_, deed)| is_meant(deed))
    }
}

fn place(rng: &mut Rng, key: usize, home: usize, ttl: Duration, skew: i64) -> Place {
    let create_timeout = secs(rng, 4..25);
    Place {
        key,
        home,
        ttl: if rng.u8(..) < 20 {
            ttl + secs(rng, 1..600)
        } else {
            ttl
        },
        create_timeout,
        max_wait: secs(rng, 5..40),
        linger: millis(rng, 0..12_000),
        per_minute: rng.u32(20..120),
        burst: rng.u32(8..60),
        verify_adopted: rng.u8(..) < 40,
        fails_without_store: rng.u8(..) < 50,
        ahead: rng.i64(-skew..=skew),
    }
}

fn requests(rng: &mut Rng, until: Duration, places: usize) -> Vec<(Duration, Deed)> {
    let mut plan: Vec<_> = (0..rng.usize(20..80))
        .map(|_| (at(rng, until), request(rng, places)))
        .collect();
    // Some requests come at the same time, and some shortly after one another.
    for _ in 0..rng.usize(0..6) {
        let start = at(rng, until);
        let apart = *rng.choice(&[1, 300, 3_000]).unwrap();
        for _ in 0..rng.usize(2..14) {
            plan.push((start + millis(rng, 0..apart), request(rng, places)));
        }
    }
    plan
}

fn request(rng: &mut Rng, places: usize) -> Deed {
    Deed::Request {
        place: rng.usize(..places),
        gives_up_after: if rng.u8(..) < 200 {
            Duration::from_secs(90)
        } else {
            millis(rng, 0..6_000)
        },
        held_up: if rng.bool() {
            Duration::ZERO
        } else {
            millis(rng, 0..ON_THE_WAY)
        },
    }
}

/// A run has only some kinds of trouble, so that each kind also meets long quiet times.
fn trouble(
    rng: &mut Rng,
    until: Duration,
    lease: Duration,
    places: usize,
    skew: i64,
    plan: &mut Vec<(Duration, Deed)>,
) {
    let kinds: Vec<_> = (0..rng.usize(1..6)).map(|_| rng.u8(0..10)).collect();
    for kind in kinds {
        for _ in 0..rng.usize(1..6) {
            let (start, place) = (at(rng, until), rng.usize(..places));
            let later = start + lease.mul_f64(1.5 * rng.f64());
            match kind {
                0 => {
                    plan.push((start, Deed::Kill(place)));
                    plan.push((later, Deed::Start(place)));
                }
                1 | 2 => {
                    // Often several processes shut down at the same moment.
                    for _ in 0..rng.usize(1..4) {
                        let (place, moment) = (rng.usize(..places), start + millis(rng, 0..3_000));
                        plan.push((moment, Deed::Shutdown(place, millis(rng, 0..20_000))));
                        plan.push((later, Deed::Start(place)));
                    }
                }
                3 | 4 => {
                    plan.push((start, Deed::Store(place, store_trouble(rng))));
                    plan.push((later, Deed::Store(place, Trouble::default())));
                }
                5 => {
                    // The store itself is in trouble, so all processes notice.
                    let trouble = store_trouble(rng);
                    for place in 0..places {
                        let (from, to) = (millis(rng, 0..20_000), millis(rng, 0..20_000));
                        plan.push((start + from, Deed::Store(place, trouble)));
                        plan.push((later + to, Deed::Store(place, Trouble::default())));
                    }
                }
                6 => plan.push((start, Deed::Flush)),
                7 => {
                    plan.push((start, fault(rng)));
                    if rng.bool() {
                        plan.push((later, Deed::Clear));
                    }
                }
                8 => plan.push((start, Deed::Invalidate(place))),
                _ => plan.push((start, change(rng, place))),
            }
        }
    }
    if skew > 0 && rng.bool() {
        for _ in 0..rng.usize(1..4) {
            let by = millis(rng, 0..u64::try_from(skew).unwrap());
            let turn = if rng.bool() {
                Deed::SetBack
            } else {
                Deed::SetForward
            };
            plan.push((at(rng, until), turn(rng.usize(..places), by)));
        }
    } else if rng.u8(..) < 40 {
        plan.push((at(rng, until), Deed::Sleep(secs(rng, 1..600))));
    }
}

fn store_trouble(rng: &mut Rng) -> Trouble {
    let none = Trouble::default();
    match rng.u8(0..6) {
        0 | 1 => Trouble {
            is_cut: true,
            ..none
        },
        2 => Trouble {
            loses_answers: true,
            is_late: rng.bool(),
            delay: millis(rng, 0..1_000),
            ..none
        },
        3 => Trouble {
            is_mute: true,
            ..none
        },
        _ => Trouble {
            delay: millis(rng, 0..8_000),
            is_late: rng.bool(),
            is_mute: rng.bool(),
            ..none
        },
    }
}

fn fault(rng: &mut Rng) -> Deed {
    use Target::{Any, Create, Delete, Get, Others, SessionCalls};
    let calls = [Create, Create, Get, Delete, SessionCalls];
    let on = *rng.choice(&calls).unwrap();
    let any = *rng.choice(&[Others, Any, on]).unwrap();
    let (what, on) = match rng.u8(0..10) {
        0 => (What::Delay(millis(rng, 0..30_000)), on),
        1 => (What::DelayAnswer(millis(rng, 0..30_000)), on),
        2 => (What::LoseAnswer, on),
        3 => (What::HangAnswer, on),
        4 => (What::Hang, on),
        5 => (What::Status(503), any),
        6 => (What::Status(500), on),
        7 => (What::Status(400), Create),
        8 => (What::Refuse, any),
        _ => (
            What::RateLimited {
                retry_after: Some(rng.u64(1..30)),
                in_body: true,
            },
            on,
        ),
    };
    let times = if rng.bool() { 1 } else { rng.usize(1..20) };
    Deed::Fault { what, on, times }
}

fn change(rng: &mut Rng, place: usize) -> Deed {
    Deed::Change {
        place,
        to: rng.usize(0..4),
        is_patch: rng.bool(),
        gives_up_after: if rng.bool() {
            Duration::from_secs(90)
        } else {
            millis(rng, 0..6_000)
        },
    }
}

pub(crate) fn at(rng: &mut Rng, until: Duration) -> Duration {
    until.mul_f64(rng.f64())
}

pub(crate) fn secs(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_secs(rng.u64(range))
}

pub(crate) fn millis(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

fn millis_of(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap()
}
