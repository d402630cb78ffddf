//! All cases, by name.

use std::sync::LazyLock;

use http::{HeaderValue, Method, header};
use http_body_util::Full;
use sipher_session::{
    InlineDefaults, NoSession, SessionLayer,
    clock::{Clock, Reading},
};

use crate::{
    anchors::{ByHand, Identity, SameHeaderWork, set_request_header},
    lane::{BATCH, Calls, ClonedCalls, Lane},
    middleware::{ClientCalls, InsertsConstant},
    ours::{KEY, World, builder},
    request::{
        API_KEY, BASE_URL, Call, NOT_OURS, OURS, SESSION_ID, Sink, call, call_with_key, secret,
        session_id,
    },
};

/// The number of API keys in cases with many keys.
pub const MANY: usize = 10_000;

pub struct Case {
    pub name: &'static str,
    pub what: &'static str,
    /// Creates the work of one thread; each thread calls this once. Lanes share everything that one process would
    /// share.
    pub lane: fn() -> Box<dyn Lane>,
}

/// A manager with a live session, for the life of the process.
static WORLD: LazyLock<World> = LazyLock::new(World::default);
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| keys(MANY));
static CROWD: LazyLock<World> = LazyLock::new(|| World::with_keys(&KEYS));
static ID: LazyLock<HeaderValue> = LazyLock::new(session_id);
static FROZEN: LazyLock<World> =
    LazyLock::new(|| World::with(|stub| builder(stub).clock(FrozenClock)));

/// Returns distinct keys.
pub fn keys(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("sk_ent_{i:032x}")).collect()
}

/// A manager that also puts defaults into bodies.
static INLINE: LazyLock<World> =
    LazyLock::new(|| World::with(|stub| builder(stub).inline_defaults(InlineDefaults::Always)));

/// A clock that costs nothing to read. The difference to other cases is the cost of reading the real clocks.
#[derive(Debug)]
struct FrozenClock;

impl Clock for FrozenClock {
    fn now(&self) -> Reading {
        let day = std::time::Duration::from_secs(86_400);
        Reading {
            monotonic: day,
            wall: day,
        }
    }
}

fn with_key() -> impl Iterator<Item = Call> {
    (0..BATCH).map(|_| call_with_key(OURS, KEY))
}

fn to(url: &'static str) -> impl Iterator<Item = Call> {
    (0..BATCH).map(move |_| call(url))
}

fn without_body() -> impl Iterator<Item = Call> {
    changed(|request| {
        *request.method_mut() = Method::GET;
        *request.body_mut() = Full::default();
        request.headers_mut().remove(header::CONTENT_TYPE);
    })
}

fn changed(change: fn(&mut Call)) -> impl Iterator<Item = Call> {
    with_key().map(move |mut request| {
        change(&mut request);
        request
    })
}

/// Returns a request for each key. Their order in memory is one that no prefetcher can predict.
pub fn crowd_of(keys: &[String]) -> impl Iterator<Item = Call> {
    let n = keys.len().max(BATCH);
    let mut requests: Vec<_> = (0..n)
        .map(|i| Some(call_with_key(OURS, &keys[i % keys.len()])))
        .collect();
    // The stride shares no factor with the number of requests, so each is visited once.
    let stride = if n.is_multiple_of(7_919) {
        7_907
    } else {
        7_919
    };
    (0..n).map(move |i| requests[i * stride % n].take().expect("each once"))
}

fn calls<S>(service: S, requests: impl Iterator<Item = Call>) -> Box<dyn Lane>
where
    S: tower::Service<Call> + 'static,
{
    Box::new(Calls::new(service, requests, vec![SESSION_ID]))
}

fn bare<S>(service: S, requests: impl Iterator<Item = Call>) -> Box<dyn Lane>
where
    S: tower::Service<Call> + 'static,
{
    Box::new(Calls::new(service, requests, vec![]))
}

fn cloned<S>(service: S, put_in: bool) -> Box<dyn Lane>
where
    S: tower::Service<Call> + Clone + 'static,
{
    let put_in = if put_in { vec![SESSION_ID] } else { vec![] };
    Box::new(ClonedCalls(Calls::new(service, with_key(), put_in)))
}

pub fn all() -> Vec<Case> {
    let mut all = anchors();
    all.extend(ours());
    #[cfg(feature = "peers")]
    all.extend(crate::peers::cases());
    all
}

pub fn named(name: &str) -> Case {
    let found = all().into_iter().find(|case| case.name == name);
    found.unwrap_or_else(|| panic!("no case `{name}`"))
}

fn case(name: &'static str, what: &'static str, lane: fn() -> Box<dyn Lane>) -> Case {
    Case { name, what, lane }
}

fn anchors() -> Vec<Case> {
    vec![
        case("bare", "the inner service alone", || bare(Sink, with_key())),
        case("by-hand-static", "insert by hand, static value", || {
            calls(ByHand::with_static(), with_key())
        }),
        case("by-hand", "insert by hand, shared value", || {
            calls(ByHand::shared(&ID), with_key())
        }),
        case(
            "by-hand-own",
            "insert by hand, own copy of the value",
            || calls(ByHand::own_copy(&ID), with_key()),
        ),
        case("same-work", "the same header work by hand", || {
            calls(SameHeaderWork::new(secret(KEY)), with_key())
        }),
        case(
            "set-header",
            "tower-http `SetRequestHeader`, shared value",
            || {
                static X: LazyLock<tower_http::set_header::SetRequestHeader<Sink, HeaderValue>> =
                    LazyLock::new(set_request_header);
                calls(X.clone(), with_key())
            },
        ),
        case(
            "set-header-cloned",
            "`SetRequestHeader` cloned for each request",
            || {
                static X: LazyLock<tower_http::set_header::SetRequestHeader<Sink, HeaderValue>> =
                    LazyLock::new(set_request_header);
                cloned(X.clone(), true)
            },
        ),
        case(
            "set-header-crowd",
            "`SetRequestHeader`, requests of 10,000 keys",
            || calls(set_request_header(), crowd_of(&KEYS)),
        ),
        case(
            "identity",
            "a layer that does nothing, same shape of future",
            || bare(Identity, to(NOT_OURS)),
        ),
        case(
            "middleware-by-hand",
            "reqwest-middleware that inserts a constant",
            || Box::new(ClientCalls::new(InsertsConstant::default())),
        ),
    ]
}

fn ours() -> Vec<Case> {
    vec![
        case("hit", "**live session, key on the request**", || {
            calls(WORLD.service(), with_key())
        }),
        case("hit-key", "live session, key added too", || {
            Box::new(Calls::new(
                WORLD.service(),
                to(OURS),
                vec![SESSION_ID, API_KEY],
            ))
        }),
        case("hit-cloned", "service cloned for each request", || {
            cloned(WORLD.service(), true)
        }),
        case("hit-crowd", "10,000 keys used evenly", || {
            calls(CROWD.service(), crowd_of(&KEYS))
        }),
        case("not-ours", "request for another origin", || {
            bare(WORLD.service(), to(NOT_OURS))
        }),
        case("middleware", "as reqwest-middleware", || {
            Box::new(ClientCalls::new(SessionLayer::new(WORLD.manager.clone())))
        }),
        case(
            "hit-no-body",
            "live session, request without a body",
            || calls(WORLD.service(), without_body()),
        ),
        case(
            "inline-no-body",
            "the same where defaults are put into bodies",
            || calls(INLINE.service(), without_body()),
        ),
        case(
            "inline-not-ours",
            "request for another origin, the same",
            || bare(INLINE.service(), to(NOT_OURS)),
        ),
        case("hit-frozen", "hit, with a clock that costs nothing", || {
            calls(FROZEN.service(), with_key())
        }),
        case(
            "hit-extension",
            "hit, with somebody else's extension",
            || {
                calls(
                    WORLD.service(),
                    changed(|request| {
                        request.extensions_mut().insert(1_u64);
                    }),
                )
            },
        ),
        case(
            "opted-out",
            "request that opts out by its extensions",
            || {
                bare(
                    WORLD.service(),
                    changed(|request| {
                        request.extensions_mut().insert(NoSession);
                    }),
                )
            },
        ),
        case("own-id", "request that bears an id of its own", || {
            bare(
                WORLD.service(),
                changed(|request| {
                    request.headers_mut().insert(SESSION_ID, ID.clone());
                }),
            )
        }),
        case("public", "request for a public path", || {
            static URL: LazyLock<String> = LazyLock::new(|| format!("{BASE_URL}/v1/health"));
            bare(WORLD.service(), to(&URL))
        }),
    ]
}
