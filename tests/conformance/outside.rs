//! Requests to other addresses that look like Sipher's.

use sipher_session::{
    ErrorKind, Event, Events, Outside, OutsideReason, SessionLayer, SessionManager,
    testing::{Exchange, SessionUse, Tier},
};

use crate::{in_every_world, spec::Spec, world::World};

in_every_world!(
    another_spelling_of_the_server_passes_as_it_is_and_is_told_of_once,
    a_key_of_the_managers_is_told_of_wherever_it_goes,
    what_has_nothing_to_do_with_sipher_is_not_counted,
    where_that_was_asked_for_it_is_refused_and_nothing_is_sent
);

/// Makes the other server's address another spelling of the first: a host name of the vendor, or another name of loopback.
fn spelt_otherwise(world: &mut World) -> OutsideReason {
    if world.origin.contains("127.0.0.1") {
        world.other_origin = world.origin.replace("127.0.0.1", "localhost");
        OutsideReason::Loopback
    } else {
        world.other_origin = String::from("https://sipher.sip-protocol.org");
        OutsideReason::VendorsDomain
    }
}

fn told(events: &mut Events) -> Vec<(String, String, OutsideReason)> {
    let all = std::iter::from_fn(|| events.try_recv());
    let outside = |event| match event {
        Event::Outside {
            origin,
            base,
            reason,
            ..
        } => Some((origin, base, reason)),
        _ => None,
    };
    all.filter_map(outside).collect()
}

/// Returns the requests that arrived at either server.
fn arrived(world: &World) -> Vec<Exchange> {
    [world.sipher.log(), world.other.log()].concat()
}

fn manager(world: &World, policy: Outside) -> SessionManager {
    let builder = world.keyless().api_key(&*world.key);
    builder.on_outside(policy).build().unwrap()
}

async fn another_spelling_of_the_server_passes_as_it_is_and_is_told_of_once(mut world: World) {
    let reason = spelt_otherwise(&mut world);
    let sessions = world.manager(); // the default
    let (layer, mut events) = (SessionLayer::new(sessions.clone()), sessions.events());
    for _ in 0..3 {
        let outcome = world.send(&layer, Spec::generate().elsewhere()).await;
        assert_eq!(outcome.status(), 401, "it got no key");
    }
    let arrived = arrived(&world);
    assert_eq!(arrived.len(), 3);
    let is_bare = |exchange: &Exchange| exchange.session == SessionUse::None;
    assert!(arrived.iter().all(is_bare));
    assert_eq!(sessions.stats().outside, 3);
    let expected = (world.other_origin.clone(), world.origin.clone(), reason);
    assert_eq!(told(&mut events), [expected]);
    // As an alias, the address counts as Sipher's.
    let alias = world.keyless().api_key(&*world.key);
    let alias = alias.alias(&world.other_origin).build().unwrap();
    world
        .send(
            &SessionLayer::new(alias.clone()),
            Spec::generate().elsewhere(),
        )
        .await;
    assert_eq!(alias.stats().outside, 0);
}

async fn a_key_of_the_managers_is_told_of_wherever_it_goes(world: World) {
    let (other, mine) = (world.sipher.api_key(Tier::Pro), world.key.clone());
    let bearer = format!("Bearer {other}");
    for (header, value) in [
        ("x-api-key", &mine),
        ("x-api-key", &other),
        ("authorization", &bearer),
    ] {
        let sessions = world.manager();
        let (layer, mut events) = (SessionLayer::new(sessions.clone()), sessions.events());
        let call = || Spec::generate().header(header, value);
        // A key on a request counts as the manager's once it has a session for that key.
        world.send(&layer, call()).await;
        for _ in 0..2 {
            world.send(&layer, call().elsewhere()).await;
        }
        let expected = (
            world.other_origin.clone(),
            world.origin.clone(),
            OutsideReason::ApiKey,
        );
        assert_eq!(told(&mut events), [expected], "{header}");
        assert_eq!(sessions.stats().outside, 2);
        let exchange = world.other.log().pop().unwrap();
        assert_eq!(exchange.session, SessionUse::None);
    }
}

async fn what_has_nothing_to_do_with_sipher_is_not_counted(world: World) {
    let sessions = manager(&world, Outside::Refuse);
    let layer = SessionLayer::new(sessions.clone());
    sessions.session().await.unwrap();
    let basic = format!("Basic {}", world.key);
    for (header, value) in [
        ("accept", "*/*"),
        ("x-api-key", "sk_pro_of_another_service"),
        ("authorization", "Bearer sk_pro_of_another_service"),
        ("authorization", "bearer x"),
        ("authorization", &basic),
        ("x-other", &world.key),
    ] {
        let spec = Spec::generate().elsewhere().header(header, value);
        let outcome = world.send(&layer, spec).await;
        assert_eq!(outcome.status(), 401, "{header}: {value}");
    }
    assert_eq!(sessions.stats().outside, 0);
}

async fn where_that_was_asked_for_it_is_refused_and_nothing_is_sent(mut world: World) {
    let elsewhere = world.other_origin.clone();
    spelt_otherwise(&mut world);
    let sessions = manager(&world, Outside::Refuse);
    let layer = SessionLayer::new(sessions.clone());
    let spelt_otherwise = world.other_origin.clone();
    let with_key = || Spec::generate().header("x-api-key", &*world.key);
    for (origin, spec) in [(spelt_otherwise, Spec::generate()), (elsewhere, with_key())] {
        let world = &mut world;
        world.other_origin.clone_from(&origin);
        for count in 1..3 {
            let outcome = world.send(&layer, spec.clone().elsewhere()).await;
            assert_eq!(outcome.kind(), ErrorKind::InvalidRequest);
            let message = outcome.error().to_string();
            for part in [&origin, &world.origin, "`on_outside`"] {
                assert!(message.contains(part), "{message}");
            }
            assert_eq!(sessions.stats().outside % 2, count % 2);
        }
    }
    assert!(arrived(&world).is_empty());
}
