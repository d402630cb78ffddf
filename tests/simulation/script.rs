//! The script of one run. One number determines every random choice.

use std::time::Duration;

use fastrand::Rng;
use sipher_session::{
    Chain, PrivacyLevel, RpcProvider, SessionDefaults,
    testing::{Target, What},
};

pub(crate) use crate::weather::Weather;
use crate::{forecast, hard, inline, production};

/// The number of API keys. The manager starts with the first, and the last two cannot have sessions.
pub(crate) const KEYS: usize = 5;
pub(crate) const FREE: usize = 3;
pub(crate) const WRONG: usize = 4;
/// The number of additional made-up keys, which the server does not know.
pub(crate) const MADE_UP: usize = 12;

/// How long a request may be delayed below the layer. Shorter than the shortest `hard`, so no session expires in the meantime.
pub(crate) const ON_THE_WAY: u64 = 4_000;

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // each is drawn separately
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) settings: Settings,
    pub(crate) replicas: usize,
    /// Whether the replicas share a store. If this is `None`, the fake server decides.
    pub(crate) common_store: Option<bool>,
    /// The number of addresses from which the server sees calls.
    pub(crate) edges: u8,
    /// Whether the errors of the client below the layer hide their cause.
    pub(crate) is_opaque: bool,
    /// Whether answers have proofs.
    pub(crate) proves: bool,
    /// How far the server's clock is ahead of the host's from the start on, in seconds.
    pub(crate) skew: i64,
    pub(crate) calls: Vec<(Duration, Call)>,
    pub(crate) weather: Vec<(Duration, Weather)>,
    pub(crate) hand: Vec<(Duration, Hand)>,
    /// When the manager ends, if it ends in the middle of everything. Otherwise, when the callers stop.
    pub(crate) until: Duration,
    pub(crate) abrupt: bool,
    /// Whether requests may be delayed below the layer for longer than their sessions live.
    pub(crate) late: bool,
    pub(crate) end: End,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) ttl: Duration,
    pub(crate) create_timeout: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) linger: Duration,
    pub(crate) max_sessions: u64,
    pub(crate) verify_every: Option<Duration>,
    pub(crate) per_minute: u32,
    pub(crate) burst: u32,
    pub(crate) send_without: bool,
    pub(crate) replays: bool,
}

/// One request.
#[derive(Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // each is drawn separately
pub(crate) struct Call {
    pub(crate) key: Option<usize>,
    pub(crate) defaults: Option<usize>,
    /// One of many more sets of defaults, instead of the above.
    pub(crate) set: Option<usize>,
    /// Instead of using the session, the request deletes or changes it.
    pub(crate) by_layer: Option<SessionCall>,
    /// How long the caller waits before it polls the future.
    pub(crate) polled_after: Duration,
    /// The request is sent even before its future is polled.
    pub(crate) is_eager: bool,
    pub(crate) no_session: bool,
    pub(crate) elsewhere: bool,
    /// The request goes to another host of the vendor, outside of the base URL.
    pub(crate) outside: Option<usize>,
    /// The request goes to the server's other name.
    pub(crate) by_alias: bool,
    pub(crate) gives_up_after: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum SessionCall {
    Delete,
    Patch(usize),
}

impl Call {
    pub(crate) fn defaults(&self) -> Option<SessionDefaults> {
        self.set.map(set).or(self.defaults.map(defaults))
    }
}

/// One action of the handle's owner.
#[derive(Clone, Debug)]
pub(crate) struct Hand {
    pub(crate) deed: Deed,
    pub(crate) gives_up_after: Duration,
}

#[derive(Clone, Debug)]
pub(crate) enum Deed {
    Update(usize),
    Replace(usize),
    SetKey(usize),
    /// Takes the current session, and invalidates it after this time.
    Invalidate(Duration),
    /// Waits until the session is due for renewal, makes the renewal take longer than this time, and then invalidates the session.
    InvalidateInRenewal(Duration),
    Delete,
    Patch(usize),
    Warm,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Shutdown(Duration),
    Twice(Duration),
    /// A shutdown that is begun, dropped, and called again.
    DroppedShutdown(Duration),
    HandleDropped,
}

/// The sets of defaults that callers and the handle choose from.
pub(crate) fn defaults(which: usize) -> SessionDefaults {
    let none = SessionDefaults::new();
    match which % 5 {
        0 => none.chain(Chain::Near),
        1 => none.chain(Chain::Sui).privacy_level(PrivacyLevel::Shielded),
        2 => none.privacy_level(PrivacyLevel::Maximum),
        3 => none
            .chain(Chain::Base)
            .privacy_level(PrivacyLevel::Standard),
        _ => none,
    }
}

/// Many more sets of defaults.
pub(crate) fn set(which: usize) -> SessionDefaults {
    use Chain::{Aptos, Base, Bitcoin, Cosmos, Near, Polygon, Sui, Zcash};
    let chains = [Aptos, Base, Bitcoin, Cosmos, Near, Polygon, Sui, Zcash];
    let providers = [
        RpcProvider::Helius,
        RpcProvider::Quicknode,
        RpcProvider::Triton,
        RpcProvider::Generic,
    ];
    let levels = [PrivacyLevel::Shielded, PrivacyLevel::Maximum];
    SessionDefaults::new()
        .chain(chains[which % 8].clone())
        .rpc_provider(providers[which / 8 % 4].clone())
        .privacy_level(levels[which / 32 % 2].clone())
}

impl Script {
    pub(crate) fn of(seed: u64) -> Self {
        let rng = &mut Rng::with_seed(seed);
        let until = secs(rng, 120..3_600);
        let settings = settings(rng);
        let abrupt = rng.u8(..) < 100;
        let keys = rng.usize(1..=4);
        let calls = rng.usize(10..90);
        let mut plan: Vec<_> = (0..calls)
            .map(|_| (at(rng, until), call(rng, keys)))
            .collect();
        bursts(rng, until, keys, &mut plan);
        trains(rng, until, keys, &mut plan);
        let mut weather = forecast::weather(rng, until);
        let late = rng.u8(..) < 25;
        if late {
            let held_up = (0..rng.usize(1..8)).map(|_| forecast::hold_up(rng, until));
            weather.extend(held_up.collect::<Vec<_>>());
            // Half of the callers wait long enough to see the answer.
            for (_, call) in plan.iter_mut().step_by(2) {
                call.gives_up_after = Duration::from_secs(700);
            }
        }
        let deeds = rng.usize(0..8);
        let mut hand: Vec<_> = (0..deeds).map(|_| (at(rng, until), deed(rng))).collect();
        // The owner's actions happen while requests are in flight.
        let moments = hand.iter().map(|(at, _)| *at);
        for moment in moments.chain(abrupt.then_some(until)) {
            if rng.bool() {
                crowd(rng, moment, keys, &mut plan, &mut weather);
            }
        }
        hand.sort_by_key(|(at, _)| *at);
        let deadline = millis(rng, 0..20_000);
        let mut script = Self {
            seed,
            settings,
            replicas: if rng.u8(..) < 25 { rng.usize(2..4) } else { 1 },
            common_store: None,
            edges: 1,
            is_opaque: false,
            proves: true,
            skew: if rng.bool() {
                rng.i64(-400_000..400_000)
            } else {
                0
            },
            calls: plan,
            weather,
            hand,
            until,
            abrupt,
            late,
            end: match rng.u8(0..8) {
                0..3 => End::Shutdown(deadline),
                3 => End::Twice(deadline),
                4 => End::DroppedShutdown(deadline),
                _ => End::HandleDropped,
            },
        };
        if hard::is_hard(seed) {
            hard::harden(&mut script);
        }
        if production::is_production(seed) {
            production::befall(&mut script);
        }
        inline::befall(&mut script);
        script.calls.sort_by_key(|(at, _)| *at);
        script.weather.sort_by_key(|(at, _)| *at);
        script
    }

    /// Whether a cache in front of the server keeps the answers of health, without saying so.
    pub(crate) fn has_cached_health(&self) -> bool {
        self.has(|weather| {
            let Weather::Fault { what, .. } = weather else {
                return false;
            };
            matches!(what, What::CachedHealth { is_told: false, .. })
        })
    }

    /// Whether each replica has sessions of its own.
    pub(crate) fn is_split(&self) -> bool {
        self.replicas > 1 && self.common_store == Some(false)
    }

    pub(crate) fn has(&self, is_meant: impl Fn(&Weather) -> bool) -> bool {
        self.weather.iter().any(|(_, weather)| is_meant(weather))
    }
}

fn settings(rng: &mut Rng) -> Settings {
    Settings {
        ttl: if rng.bool() {
            secs(rng, 60..300)
        } else {
            secs(rng, 300..3_600)
        },
        create_timeout: millis(rng, 1_000..30_000),
        max_wait: millis(rng, 500..40_000),
        linger: millis(rng, 0..15_000),
        max_sessions: if rng.u8(..) < 80 {
            rng.u64(1..4)
        } else {
            1_000
        },
        verify_every: (rng.u8(..) < 60).then(|| secs(rng, 20..300)),
        per_minute: rng.u32(4..120),
        burst: rng.u32(1..60),
        send_without: rng.u8(..) < 30,
        replays: rng.u8(..) < 40,
    }
}

pub(crate) fn call(rng: &mut Rng, keys: usize) -> Call {
    let key = rng.bool().then(|| {
        let wrong = rng.u8(..) < 20;
        if wrong {
            rng.usize(FREE..KEYS)
        } else {
            rng.usize(0..keys.min(FREE))
        }
    });
    Call {
        key,
        defaults: (rng.u8(..) < 80).then(|| rng.usize(..)),
        no_session: rng.u8(..) < 10,
        elsewhere: rng.u8(..) < 10,
        gives_up_after: if rng.bool() {
            Duration::from_secs(90)
        } else {
            millis(rng, 0..8_000)
        },
        ..Call::default()
    }
}

/// Requests at the same time, and requests shortly after one another.
fn bursts(rng: &mut Rng, until: Duration, keys: usize, plan: &mut Vec<(Duration, Call)>) {
    for _ in 0..rng.usize(0..5) {
        let start = at(rng, until);
        let apart = *rng.choice(&[0, 0, 300, 2_000]).unwrap_or(&0);
        let burst = (0..rng.usize(2..12)).map(|_| {
            let later = Duration::from_millis(rng.u64(0..=apart));
            (start + later, call(rng, keys))
        });
        let burst: Vec<_> = burst.collect();
        plan.extend(burst);
    }
}

/// Similar requests that follow one another closely, so that a layer reuses its decision.
fn trains(rng: &mut Rng, until: Duration, keys: usize, plan: &mut Vec<(Duration, Call)>) {
    for _ in 0..rng.usize(0..4) {
        let mut start = at(rng, until);
        let alike = Call {
            defaults: None,
            no_session: false,
            elsewhere: false,
            ..call(rng, keys)
        };
        for _ in 0..rng.usize(5..40) {
            start += millis(rng, 10..400);
            let other = rng.u8(..) < 20;
            plan.push((
                start,
                if other {
                    call(rng, keys)
                } else {
                    alike.clone()
                },
            ));
        }
    }
}

/// Slow requests that are in flight at a given moment.
fn crowd(
    rng: &mut Rng,
    moment: Duration,
    keys: usize,
    plan: &mut Vec<(Duration, Call)>,
    weather: &mut Vec<(Duration, Weather)>,
) {
    let start = moment.saturating_sub(Duration::from_secs(2));
    for _ in 0..rng.usize(1..6) {
        let what = What::Delay(millis(rng, 0..ON_THE_WAY));
        let (on, times) = (Target::Calls, 1);
        weather.push((start, Weather::Fault { what, on, times }));
        let later = millis(rng, 0..2_000);
        plan.push((start + later, call(rng, keys)));
    }
}

fn deed(rng: &mut Rng) -> Hand {
    let deed = match rng.u8(0..10) {
        0 => Deed::Update(rng.usize(..)),
        1 => Deed::Replace(rng.usize(..)),
        2 => Deed::SetKey(if rng.u8(..) < 200 {
            rng.usize(0..FREE)
        } else {
            rng.usize(FREE..KEYS)
        }),
        3..5 => Deed::Invalidate(millis(rng, 0..5_000)),
        5..7 => Deed::Delete,
        7 => Deed::InvalidateInRenewal(millis(rng, 1..4_000)),
        8 => Deed::Patch(rng.usize(..)),
        _ => Deed::Warm,
    };
    let gives_up_after = match deed {
        Deed::InvalidateInRenewal(_) => Duration::from_secs(3_600),
        _ if rng.bool() => Duration::from_secs(90),
        _ => millis(rng, 0..3_000),
    };
    Hand {
        deed,
        gives_up_after,
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
