//! Which session id arrives at the server.

use sipher_session::{Chain, ErrorKind, SessionDefaults, api::CreateSession};

use crate::{in_every_world, spec::Spec, world::World};

in_every_world!(
    exactly_one_id_arrives_on_the_first_request_and_on_later_ones,
    a_live_id_of_the_requests_own_is_left_alone,
    a_malformed_id_of_the_requests_own_is_refused_and_nothing_is_sent,
    a_doubled_id_of_the_requests_own_is_refused_and_nothing_is_sent
);

const WELL_FORMED: &str = "sess_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

async fn exactly_one_id_arrives_on_the_first_request_and_on_later_ones(world: World) {
    let layer = world.layer();
    // If the id arrived twice, the server would count it as dead.
    world.sipher.refuse_dead_ids(true);
    world.send(&layer, Spec::generate()).await;
    let first = world.last_id();
    for path in ["/v1/stealth/generate", "/V1/Stealth/Generate/"] {
        let outcome = world.send(&layer, Spec::generate().path(path)).await;
        assert_eq!(outcome.status(), 200);
        assert_eq!(world.last_id(), first);
    }
}

async fn a_live_id_of_the_requests_own_is_left_alone(world: World) {
    let manager = world.manager();
    let layer = sipher_session::SessionLayer::new(manager.clone());
    let sui = CreateSession::new(SessionDefaults::new().chain(Chain::Sui));
    let own = manager.api().create_session(&sui).await.unwrap();
    let spec = || Spec::generate().header("x-session-id", own.id.as_str());
    assert_eq!(world.send(&layer, spec()).await.chain(), "sui");
    assert_eq!(world.creates(), 1, "none but the one made by hand");

    assert_eq!(world.send(&layer, Spec::generate()).await.chain(), "near");
    assert_eq!(world.send(&layer, spec()).await.chain(), "sui");
    assert_eq!(world.last_id(), own.id.as_str());
}

async fn a_malformed_id_of_the_requests_own_is_refused_and_nothing_is_sent(world: World) {
    let layer = world.layer();
    for id in [
        "",
        "nope",
        &WELL_FORMED.to_uppercase(),
        &WELL_FORMED[..68],
        &format!("{WELL_FORMED}0"),
        &format!("{WELL_FORMED},{WELL_FORMED}"),
    ] {
        let spec = Spec::generate().header("x-session-id", id);
        let outcome = world.send(&layer, spec).await;
        assert_eq!(outcome.kind(), ErrorKind::InvalidRequest, "{id:?}");
    }
    assert!(world.sipher.log().is_empty());
}

async fn a_doubled_id_of_the_requests_own_is_refused_and_nothing_is_sent(world: World) {
    let spec = Spec::generate()
        .header("x-session-id", WELL_FORMED)
        .header("x-session-id", WELL_FORMED);
    let outcome = world.send(&world.layer(), spec).await;
    assert_eq!(outcome.kind(), ErrorKind::InvalidRequest);
    assert!(world.sipher.log().is_empty());
}
