//! The memory of a layer: a layer that remembers decides in the same way as one that does not.

use std::time::Duration;

use fastrand::Rng;
use http::Response;
use sipher_session::{
    BoxError, Chain, Event, SessionDefaults, SessionLayer, SessionManager, SessionService,
    api::Transport,
    testing::{
        Exchange, FakeBody, FakeSipher, Fault, Operation, SessionUse, Target, TestClock, Tier, What,
    },
};
use tower::{Layer, ServiceExt};

use crate::support::{Call, SECOND, Setup, generate, pass};

/// Returns a service that has found the same session often enough to remember it.
pub(crate) async fn remembering(
    setup: &Setup,
    manager: &SessionManager,
) -> SessionService<FakeSipher> {
    let service = SessionLayer::new(manager.clone()).layer(setup.sipher.clone());
    for _ in 0..4 {
        send(&service, generate()).await;
    }
    service
}

pub(crate) async fn send(service: &SessionService<FakeSipher>, request: Call) {
    service.clone().oneshot(request).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_ends_a_session_ends_what_is_remembered_of_it() {
    type End = fn(&Setup, &SessionManager);
    let invalidate: End = |_, manager| assert!(manager.invalidate(1));
    let sleep: End = |setup, _| {
        setup.clock.suspend(3_545 * SECOND);
        setup.sipher.clock().suspend(3_545 * SECOND);
    };
    for end in [invalidate, sleep] {
        let setup = Setup::new();
        let manager = setup.manager();
        let service = remembering(&setup, &manager).await;
        let before = setup.last_id();
        end(&setup, &manager);
        send(&service, generate()).await;
        assert_ne!(setup.last_id(), before);
        setup.sipher.assert_every_call_had_a_session();
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_reaches_who_remembers_before_it_returns() {
    let setup = Setup::new();
    let manager = setup.manager();
    let service = remembering(&setup, &manager).await;
    let sui = SessionDefaults::new().chain(Chain::Sui);
    manager.replace_defaults(sui).await.unwrap();
    send(&service, generate()).await;
    assert_eq!(setup.last_chain().as_deref(), Some("sui"));
    let other = setup.sipher.api_key(sipher_session::testing::Tier::Pro);
    manager.set_api_key(other.as_str()).await.unwrap();
    send(&service, generate()).await;
    assert_eq!(setup.uses().last().unwrap().key.as_deref(), Some("pro 2"));
}

#[tokio::test(start_paused = true)]
async fn after_a_sign_of_trouble_nothing_is_remembered_to_be_alive() {
    let setup = Setup::new();
    let manager = setup.manager();
    let service = remembering(&setup, &manager).await;
    setup.sipher.restart();
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Calls));
    send(&service, generate()).await;
    for _ in 0..5 {
        send(&service, generate()).await;
        assert_eq!(setup.last_chain().as_deref(), Some("near"));
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_differ_are_looked_at_anew() {
    let setup = Setup::new();
    let manager = setup.manager();
    let service = remembering(&setup, &manager).await;
    let other = setup.sipher.api_key(sipher_session::testing::Tier::Pro);
    let header = |name, value: &str| {
        let mut request = generate();
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    let mut sui = generate();
    sui.extensions_mut()
        .insert(SessionDefaults::new().chain(Chain::Sui));
    for (request, key, chain) in [
        (header("x-api-key", &other), "pro 2", "near"),
        (
            header("authorization", &format!("Bearer {other}")),
            "pro 2",
            "near",
        ),
        (sui, "pro 1", "sui"),
    ] {
        send(&service, request).await;
        let last = setup.uses().pop().unwrap();
        assert_eq!(
            (last.key.as_deref(), last.chain.as_deref()),
            (Some(key), Some(chain))
        );
    }
    let mut own = generate();
    own.headers_mut()
        .insert("x-session-id", "sess_1".parse().unwrap());
    assert!(service.clone().oneshot(own).await.is_err(), "malformed");
    for foreign in [
        "https://elsewhere.example/v1/stealth/generate",
        "https://sipher-api.sip-protocol.org/v1/health",
    ] {
        let mut request = generate();
        *request.uri_mut() = foreign.parse().unwrap();
        send(&service, request).await;
        assert_eq!(
            setup.uses().pop().unwrap().session,
            SessionUse::None,
            "{foreign}"
        );
    }
}

/// The layer has a memo for each key, and looks at one of them first.
#[tokio::test(start_paused = true)]
async fn each_of_many_keys_is_given_its_own_session_and_no_other() {
    let setup = Setup::new();
    let manager = setup.manager();
    let service = SessionLayer::new(manager.clone()).layer(setup.sipher.clone());
    let keys: Vec<_> = (0..20)
        .map(|_| setup.sipher.api_key(sipher_session::testing::Tier::Pro))
        .collect();
    let send_all = async || {
        let mut ids = Vec::new();
        for (i, key) in keys.iter().enumerate() {
            let mut request = generate();
            let value = if i % 2 == 0 {
                key.clone()
            } else {
                format!("Bearer {key}")
            };
            let name = ["x-api-key", "authorization"][i % 2];
            request.headers_mut().insert(name, value.parse().unwrap());
            send(&service, request).await;
            ids.push((i, setup.last_id().unwrap()));
        }
        ids
    };
    let first = send_all().await;
    for _ in 0..4 {
        assert_eq!(send_all().await, first);
    }
    assert_eq!(manager.stats().in_flight, 0, "remembered is not in flight");
    for generation in [1, 6, 20] {
        assert!(manager.invalidate(generation));
    }
    let second = send_all().await;
    let changed = first.iter().zip(&second).filter(|(one, two)| one != two);
    let changed: Vec<_> = changed.map(|(one, _)| one.0).collect();
    assert_eq!(changed, [0, 5, 19]);
    setup.sipher.assert_every_call_had_a_session();
}

/// The cache learns of a use at most every 250 ms. It must not evict a session that is in constant use.
#[tokio::test(start_paused = true)]
async fn a_session_in_use_is_the_last_to_make_room_for_others() {
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(3).build().unwrap();
    let service = remembering(&setup, &manager).await;
    let id = setup.last_id();
    for _ in 0..10 {
        let other = setup.sipher.api_key(sipher_session::testing::Tier::Pro);
        let mut request = generate();
        request
            .headers_mut()
            .insert("x-api-key", other.parse().unwrap());
        setup.service(&manager).oneshot(request).await.unwrap();
        // The other session is idle for more than a minute.
        for _ in 0..220 {
            send(&service, generate()).await;
            assert_eq!(setup.last_id(), id);
            pass(0.3).await;
        }
    }
    assert_eq!(manager.stats().evicted, 8);
}

/// A session that a service merely remembers is not in flight.
#[tokio::test(start_paused = true)]
async fn an_idle_service_keeps_no_predecessor_from_being_deleted() {
    let setup = Setup::new();
    let manager = setup.manager();
    let _idle = remembering(&setup, &manager).await;
    assert_eq!(manager.stats().in_flight, 0);
    manager.invalidate(1);
    pass(1.0).await;
    assert_eq!((setup.deletes(), setup.sipher.live_sessions()), (1, 0));

    let small = setup.builder().max_sessions(1).build().unwrap();
    let _idle = remembering(&setup, &small).await;
    pass(60.0).await;
    let other = setup.sipher.api_key(sipher_session::testing::Tier::Pro);
    let mut request = generate();
    request
        .headers_mut()
        .insert("x-api-key", other.parse().unwrap());
    setup.service(&small).oneshot(request).await.unwrap();
    pass(5.0).await;
    assert_eq!(small.stats().evicted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_got_what_was_remembered_is_in_flight_until_it_has_its_answer() {
    let setup = Setup::new();
    let manager = setup.manager();
    let service = remembering(&setup, &manager).await;
    setup
        .sipher
        .fault(Fault::new(What::Delay(20 * SECOND)).on(Target::Calls));
    let slow = tokio::spawn(service.clone().oneshot(generate()));
    pass(1.0).await;
    assert_eq!(manager.stats().in_flight, 1);
    manager.invalidate(1);
    pass(18.0).await;
    assert_eq!(setup.deletes(), 0);
    slow.await.unwrap().unwrap();
    pass(0.5).await;
    assert_eq!(setup.deletes(), 1);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn what_is_remembered_counts_where_requests_are_counted() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut events = manager.events();
    let service = remembering(&setup, &manager).await;
    for _ in 0..100 {
        send(&service, generate()).await;
    }
    setup.sipher.restart();
    setup
        .sipher
        .fault(Fault::new(What::Refuse).on(Target::Calls));
    drop(service.clone().oneshot(generate()).await);
    send(&service, generate()).await;
    let lost = std::iter::from_fn(|| events.try_recv()).find_map(|event| match event {
        Event::Lost { requests, .. } => Some(requests),
        _ => None,
    });
    assert_eq!(lost, Some(105), "all that were given it");
}

/// The server behind a proxy that removes the rate-limit window and the date from answers. A layer that remembers
/// examines fewer answers. With these headers, the two managers could find a restart at different requests.
fn silent(
    setup: &Setup,
) -> impl tower::Service<Call, Response = Response<FakeBody>, Error = BoxError, Future: Send + 'static>
+ Clone
+ Send
+ Sync
+ 'static
+ use<> {
    let sipher = setup.sipher.clone();
    tower::service_fn(move |request: Call| {
        let answer = sipher.clone().oneshot(request);
        async {
            let mut answer = answer.await?;
            answer.headers_mut().remove("ratelimit-policy");
            answer.headers_mut().remove("date");
            Ok(answer)
        }
    })
}

/// A manager, its server and its clock.
struct Twin {
    setup: Setup,
    manager: SessionManager,
    /// A layer that remembers. If this is `None`, each request gets a new layer.
    layer: Option<SessionLayer>,
}

impl Twin {
    fn new(seed: u64, remembers: bool) -> Self {
        let (sipher, clock) = (FakeSipher::seeded(seed), TestClock::new());
        let key = sipher.api_key(Tier::Pro);
        let setup = Setup { sipher, key, clock };
        let manager = setup
            .builder()
            .seed(seed)
            .ttl(100 * SECOND)
            // A remembered decision would delay the health call. So this setting postpones the health call in both
            // cases.
            .verify_after(3_600 * SECOND)
            .transport(Transport::new(silent(&setup)))
            .build()
            .unwrap();
        let layer = remembers.then(|| SessionLayer::new(manager.clone()));
        Self {
            setup,
            manager,
            layer,
        }
    }

    async fn act(&self, action: u8, chain: Chain) {
        let (setup, manager) = (&self.setup, &self.manager);
        match action {
            0 => drop(manager.invalidate(manager.session().await.unwrap().generation())),
            1 => {
                setup.sipher.restart();
                let refuse = Fault::new(What::Refuse).on(Target::Calls);
                setup.sipher.fault(refuse);
            }
            2 => {
                setup.clock.suspend(30 * SECOND);
                setup.sipher.clock().suspend(30 * SECOND);
            }
            3 => setup.clock.set_back(50 * SECOND),
            4 => {
                let defaults = SessionDefaults::new().chain(chain);
                manager.replace_defaults(defaults).await.unwrap();
            }
            _ => {
                let layer = self.layer.clone();
                let layer = layer.unwrap_or_else(|| SessionLayer::new(manager.clone()));
                let service = layer.layer(silent(setup));
                drop(service.oneshot(generate()).await);
            }
        }
    }

    /// The session of each request, and the answer that it got.
    fn story(&self) -> Vec<(SessionUse, Option<String>, u16)> {
        let bears = |exchange: Exchange| (exchange.session, exchange.chain, exchange.status);
        self.setup.uses().into_iter().map(bears).collect()
    }
}

/// One life of two managers. One has a layer that remembers, and the other gets a new layer for each request. Both act
/// at the same moment. If one waited for the other, their sessions would differ in age.
async fn twins(seed: u64) {
    let [one, two] = [true, false].map(|remembers| Twin::new(seed, remembers));
    let mut rng = Rng::with_seed(seed);
    for step in 0..300 {
        let (action, wait) = (rng.u8(0..40), Duration::from_millis(rng.u64(0..800)));
        let chain = if step % 2 == 0 {
            Chain::Sui
        } else {
            Chain::Near
        };
        tokio::join!(one.act(action, chain.clone()), two.act(action, chain));
        tokio::time::sleep(wait).await;
        assert_eq!(one.story(), two.story(), "seed {seed}, step {step}");
    }
    let calls = |twin: &Twin| twin.setup.sipher.count(Operation::Create);
    assert_eq!(calls(&one), calls(&two), "seed {seed}");
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_remembers_does_what_one_does_that_looks_each_time() {
    let seeds = match std::env::var("TWINS_SEED") {
        Ok(seed) => seed.parse().unwrap()..=seed.parse().unwrap(),
        Err(_) => 1..=60,
    };
    for seed in seeds {
        twins(seed).await;
    }
}
