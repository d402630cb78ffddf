//! Inline defaults: every third life has them. They come from generators of their own, so all other lives stay the
//! same.

use std::time::Duration;

use fastrand::Rng;
use http::Request;
use sipher_session::{
    ForeignIds, InlineDefaults, InlineDefaultsLayer, SessionLayer, SessionManager,
    SessionManagerBuilder,
    testing::{Target, What},
};
use tower::{Layer, Service};

use crate::{
    caller::BoxFuture,
    carries::{Carries, Stream},
    recorder::Recorder,
    script::{FREE, Script, Weather, at},
    trace::{Entry, Line},
    wire::Wire,
    world::World,
};

/// Lives with smaller numbers have no inline defaults.
const FIRST: u64 = 30;

/// The settings of a life with inline defaults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inline {
    seed: u64,
    pub(crate) mode: InlineDefaults,
    pub(crate) strict: bool,
    pub(crate) makes_sessions: bool,
    /// Whether the configured key is of the free tier.
    is_free: bool,
}

impl Inline {
    pub(crate) fn of(seed: u64) -> Option<Self> {
        if seed < FIRST || seed % 3 != 2 {
            return None;
        }
        let rng = &mut Rng::with_seed(seed ^ 0x6a09_e667_f3bc_c908);
        let mode = if rng.u8(0..5) < 2 {
            InlineDefaults::WithoutSession
        } else {
            InlineDefaults::Always
        };
        let makes_sessions = rng.u8(0..6) > 0;
        Some(Self {
            seed,
            mode,
            strict: rng.u8(0..5) == 0,
            makes_sessions,
            is_free: !makes_sessions && rng.u8(0..3) > 0,
        })
    }

    /// Returns the place of the configured key.
    pub(crate) fn key(inline: Option<Self>) -> usize {
        if inline.is_some_and(|inline| inline.is_free) {
            FREE
        } else {
            0
        }
    }

    pub(crate) fn set(self, builder: SessionManagerBuilder) -> SessionManagerBuilder {
        let builder = builder
            .inline_defaults(self.mode)
            .inline_strict(self.strict)
            .foreign_ids(ForeignIds::Keep);
        if self.makes_sessions {
            builder
        } else {
            builder.without_sessions()
        }
    }

    fn carries(self, n: u64) -> Carries {
        let seed = self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Carries::draw(&mut Rng::with_seed(seed ^ n))
    }
}

impl World {
    /// Returns the body of the request with this number. A request that must succeed has a plain body.
    pub(crate) fn carries(&self, n: u64) -> Option<Carries> {
        let is_calm = |line: &Line| matches!(line.what, Entry::Calm { n: calm } if calm == n);
        let is_calm = self.trace().with(|lines| lines.iter().rev().any(is_calm));
        let drawn = self.inline?.carries(n);
        Some(if is_calm { Carries::plain() } else { drawn })
    }
}

/// The layers that all callers share.
#[derive(Clone)]
pub(crate) struct Layers {
    pub(crate) session: SessionLayer,
    inline: Option<InlineDefaultsLayer>,
}

impl Layers {
    pub(crate) fn new(session: SessionLayer, manager: &SessionManager, inlines: bool) -> Self {
        let inline = inlines.then(|| InlineDefaultsLayer::new(manager.clone()));
        Self { session, inline }
    }

    /// Calls the stack. The wire is always ready.
    pub(crate) fn call(&self, wire: Wire, request: Request<Stream>, replays: bool) -> BoxFuture {
        let session = self.session.clone();
        let Some(inline) = &self.inline else {
            return if replays {
                Box::pin(session.replay_once().layer(wire).call(request))
            } else {
                Box::pin(session.layer(wire).call(request))
            };
        };
        let inner = inline.layer(Recorder(wire));
        if replays {
            Box::pin(session.replay_once().layer(inner).call(request))
        } else {
            Box::pin(session.layer(inner).call(request))
        }
    }
}

/// Adds the trouble of such a life: restarts between two calls, and a server that gives no sessions.
pub(crate) fn befall(script: &mut Script) {
    if Inline::of(script.seed).is_none() {
        return;
    }
    let rng = &mut Rng::with_seed(script.seed ^ 0xbb67_ae85_84ca_a73b);
    for _ in 0..rng.usize(1..6) {
        let near = rng.usize(..script.calls.len());
        let moment = if rng.bool() {
            at(rng, script.until)
        } else {
            script.calls[near]
                .0
                .saturating_sub(Duration::from_millis(1))
        };
        script.weather.push((moment, Weather::Restart));
    }
    let moment = at(rng, script.until / 2);
    let mut creates = |what| {
        let (on, times) = (Target::Create, 1_000);
        script
            .weather
            .push((moment, Weather::Fault { what, on, times }));
    };
    match rng.u8(0..10) {
        0..3 => {
            script.replicas = rng.usize(2..4);
            script.common_store = Some(false);
        }
        3 => script.weather.push((moment, Weather::Burn(0))),
        4 => creates(What::Status(500)),
        5 => creates(What::Hang),
        6 => script.weather.push((moment, Weather::Capacity(1))),
        _ => {}
    }
}
