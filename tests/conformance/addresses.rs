//! Which names of the server the layer recognises.

use http_body_util::Full;
use sipher_session::{
    ErrorKind, SessionLayer, SessionManager,
    api::{Bytes, Transport},
    testing::{Exchange, FakeSipher, Fault, SessionUse, Target, TestClock, Tier, What},
};
use tower::{Layer, ServiceExt};

use crate::{in_every_world, spec::Spec, world::World};

in_every_world!(
    a_request_below_an_alias_bears_the_session_of_the_base_url,
    public_paths_and_session_calls_below_an_alias_are_what_they_are_below_the_base_url,
    an_alias_ends_where_its_path_ends
);

/// Returns the session id and the API key that arrived with a request.
fn borne(exchange: &Exchange) -> (Option<String>, Option<String>) {
    let id = match &exchange.session {
        SessionUse::Live { id, .. } | SessionUse::Dead { id, .. } => Some(id.clone()),
        _ => None,
    };
    (id, exchange.key.clone())
}

fn with_alias(world: &World, alias: &str) -> SessionLayer {
    let builder = world.keyless().api_key(&*world.key).alias(alias);
    SessionLayer::new(builder.build().unwrap())
}

async fn a_request_below_an_alias_bears_the_session_of_the_base_url(world: World) {
    let layer = with_alias(&world, &world.other_origin);
    world.send(&layer, Spec::generate()).await;
    let id = world.last_id();
    // The layer remembers its decision from the third request on.
    for _ in 0..5 {
        let outcome = world.send(&layer, Spec::generate().elsewhere()).await;
        assert_eq!(outcome.status(), 200);
    }
    let log = world.other.log();
    assert_eq!(log.len(), 5, "no session call goes to an alias");
    for exchange in log {
        assert_eq!(borne(&exchange), (Some(id.clone()), Some("pro 1".into())));
    }
    assert_eq!(world.creates(), 1);
}

async fn public_paths_and_session_calls_below_an_alias_are_what_they_are_below_the_base_url(
    world: World,
) {
    let layer = with_alias(&world, &world.other_origin);
    for path in ["/v1/health", "/v1/sessions/unknown"] {
        world.send(&layer, Spec::get(path).elsewhere()).await;
    }
    let arrived: Vec<_> = world.other.log().iter().map(borne).collect();
    assert_eq!(arrived, [(None, None), (None, Some("pro 1".into()))]);
    assert!(world.sipher.log().is_empty());
}

async fn an_alias_ends_where_its_path_ends(world: World) {
    let layer = with_alias(&world, &format!("{}/sipher", world.other_origin));
    for (path, is_ours) in [
        ("/sipher/v1/scan", true),
        ("/v1/scan", false),
        ("/siphers/v1/scan", false),
        ("/sipher/../v1/scan", false),
    ] {
        world.other.clear_log();
        let call = Spec::call("POST", path).body("{}").elsewhere();
        world.send(&layer, call).await;
        let (id, _) = borne(&world.other.log()[0]);
        assert_eq!(id.is_some(), is_ours, "{path}");
    }
}

const VENDORS: [&str; 2] = [
    "https://sipher-api.sip-protocol.org",
    "https://sipher.sip-protocol.org",
];

/// Sends one request to each of the vendor's host names. Returns whether each got a session.
async fn reached(sessions: SessionManager, sipher: &FakeSipher) -> [bool; 2] {
    let service = SessionLayer::new(sessions).layer(sipher.clone());
    let mut reached = [false; 2];
    for (url, reached) in VENDORS.iter().zip(&mut reached) {
        let request = http::Request::get(format!("{url}/v1/backends"));
        let request = request.body(Full::<Bytes>::default()).unwrap();
        service.clone().oneshot(request).await.unwrap();
        *reached = sipher.log().last().unwrap().session != SessionUse::None;
    }
    reached
}

#[tokio::test(start_paused = true)]
async fn both_of_the_vendors_names_are_sipher_until_another_base_url_is_set() {
    let sipher = FakeSipher::new();
    let builder = || {
        SessionManager::builder()
            .api_key(sipher.api_key(Tier::Pro))
            .transport(Transport::new(sipher.clone()))
            .clock(TestClock::new())
    };
    let sessions = builder().build().unwrap();
    assert_eq!(sessions.base_url(), VENDORS[0]);
    for (builder, expected) in [
        (builder(), [true, true]),
        (builder().alias("https://gateway.example"), [true, true]),
        (builder().base_url(VENDORS[0]), [true, false]),
        (builder().base_url(VENDORS[1]), [false, true]),
        (builder().base_url("https://gateway.example"), [false; 2]),
        (
            builder().alias(VENDORS[1]).base_url(VENDORS[0]),
            [true, true],
        ),
    ] {
        assert_eq!(reached(builder.build().unwrap(), &sipher).await, expected);
    }
}

/// The older host name behaves like this today: a front end answers that does not know the API.
#[tokio::test(start_paused = true)]
async fn a_wrong_address_of_the_vendors_says_which_other_one_to_try() {
    let sipher = FakeSipher::new();
    let hint =
        |url: &str| format!("the vendor's other name for it is {url}: try that as `base_url`");
    for (url, other) in [
        (VENDORS[0], Some(VENDORS[1])),
        (VENDORS[1], Some(VENDORS[0])),
        ("https://gateway.example", None),
    ] {
        let sessions = SessionManager::builder()
            .api_key(sipher.api_key(Tier::Pro))
            .base_url(url)
            .transport(Transport::new(sipher.clone()))
            .clock(TestClock::new());
        let sessions = sessions.build().unwrap();
        for wrong in [
            What::Html(200),
            What::Html(404),
            What::RedirectTo("/".into()),
        ] {
            sipher.fault(Fault::new(wrong).on(Target::SessionCalls));
            let error = sessions.api().create_session(&create()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WrongAddress);
            let message = error.to_string();
            let expected = other.map(hint);
            assert_eq!(message.contains("vendor"), expected.is_some(), "{message}");
            let hint = expected.unwrap_or_default() + " (https://";
            assert!(message.contains(&hint), "{message}");
        }
    }
}

fn create() -> sipher_session::api::CreateSession {
    sipher_session::api::CreateSession::new(sipher_session::SessionDefaults::new())
}
