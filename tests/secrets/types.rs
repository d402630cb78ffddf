//! Prints every public type with secrets in it.

use std::{collections::BTreeSet, fs, path::Path};

use http::{HeaderValue, Method};
use serde_json::json;
use sipher_session::{
    ApiKey, BoxError, CallBudget, Chain, CheckedLayer, Doubt, ErrorKind, ForeignIds,
    InlineDefaults, InlineDefaultsLayer, Inlined, MaxWait, NoSession, NotInlined, OnNoSession,
    OnStoreDown, Outside, OutsideReason, PrivacyLevel, Proof, RetireReason, SessionConfig,
    SessionDefaults, SessionId, SessionLayer, SessionManager, SessionsApi, ViewingKey,
    api::{Backend, CreateSession, RpcProvider, SessionRecord},
    body::ReadAhead,
    clock::{Clock, SystemClock},
    inline::merge,
    store::{self, Announcer, Member, MemoryStore, RedisStore, SessionStore, Slot},
    testing::TestClock,
    with_reqwest::{RetryAfterPolicy, SessionRetryStrategy},
};
use tower::{Layer, ServiceExt};

use crate::{
    support::{SECOND, Setup, generate},
    witness::Witness,
};

const KEY: &str = "sk_pro_aaaabbbbccccddddeeeeffff0000111122223333";
const VIEWING_KEY: &str = "0xbadc0ffee0ddf00dbadc0ffee0ddf00d";
const ID: &str = "sess_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[tokio::test(start_paused = true)]
#[allow(clippy::too_many_lines)] // one statement for each type
async fn the_debug_output_of_every_public_type_shows_no_secret() {
    let witness = Witness::new();
    let setup = Setup::new();
    setup
        .sipher
        .accept_key(KEY, sipher_session::testing::Tier::Pro);
    for secret in [KEY, VIEWING_KEY, ID] {
        witness.secret(secret);
    }
    let mut shown = Shown(&witness, BTreeSet::new());

    // Values.
    let defaults = SessionDefaults::new()
        .chain(Chain::Near)
        .default_viewing_key(VIEWING_KEY);
    shown.of("ApiKey", &ApiKey::from(KEY));
    shown.of("ViewingKey", &ViewingKey::from(VIEWING_KEY));
    let id = SessionId::parse(ID).unwrap();
    witness.note_text(&id);
    shown.of("Fingerprint", &id.fingerprint());
    shown.of("SessionId", &id);
    shown.of(
        "SessionDefaults",
        &defaults.clone().other("spendingKey", VIEWING_KEY),
    );
    shown.of("CreateSession", &CreateSession::new(defaults.clone()));
    let record = json!({"sessionId": ID, "expiresAt": 1, "defaults": {"defaultViewingKey": VIEWING_KEY, "other": [VIEWING_KEY]}});
    shown.of(
        "SessionRecord",
        &serde_json::from_value::<SessionRecord>(record).unwrap(),
    );
    shown.of("Chain", &Chain::Near);
    shown.of("PrivacyLevel", &PrivacyLevel::Maximum);
    shown.of("RpcProvider", &RpcProvider::Helius);
    shown.of("Backend", &Backend::SipNative);
    shown.of("NoSession", &NoSession);
    shown.of("OnNoSession", &OnNoSession::Fail);
    shown.of("OnStoreDown", &OnStoreDown::Fail);
    shown.of("RetireReason", &RetireReason::Lost);
    shown.of("ErrorKind", &ErrorKind::Config);
    shown.of("CallBudget", &CallBudget::default());
    shown.of("Reading", &SystemClock::new().now());
    shown.of("SystemClock", &SystemClock::new());
    shown.of("TestClock", &TestClock::new());

    // Stores. Records are encrypted before a store gets them.
    let url = format!("redis://user:{KEY}@host");
    shown.of("RedisStore", &RedisStore::connect(&url).unwrap());
    let store = MemoryStore::new(setup.clock.clone());
    let text = "00112233445566778899aabbccddeeff";
    let (slot, member) = (Slot::parse(text).unwrap(), Member::parse(text).unwrap());
    shown.of("MemoryStore", &store);
    shown.of("Slot", &slot);
    shown.of("Member", &member);
    shown.of("Announcer", &Announcer::new());
    shown.of("Changes", &store.changes());
    let claim = store.claim(slot, member, 0, SECOND).await.unwrap();
    shown.of("Claim", &claim);
    let record = store::Record {
        generation: 1,
        sealed: "sealed".into(),
        left: SECOND,
    };
    shown.of("Record", &record);
    shown.of(
        "Kept",
        &store.keep(slot, member, record, SECOND).await.unwrap(),
    );
    shown.of("Found", &store.get(slot).await.unwrap());
    shown.of("Left", &store.leave(slot, member, 1).await.unwrap());
    shown.of("MemoryStore", &store);

    // Settings.
    let settings = json!({"api_key": KEY, "base_url": format!("https://{KEY}@host?key={KEY}"),
        "defaults": {"default_viewing_key": VIEWING_KEY}});
    let config: SessionConfig = serde_json::from_value(settings).unwrap();
    let mut written = config.clone();
    written.base_url = None; // this URL is refused, but printed as it is
    witness.note_text(&serde_json::to_string(&written).unwrap());
    shown.of("DefaultsConfig", &config.defaults);
    shown.of("CallBudgetConfig", &config.call_budget);
    shown.of("SessionConfig", &config);
    shown.of("Error", &SessionManager::from_config(config).unwrap_err());
    let builder = SessionManager::builder()
        .api_key(KEY)
        .defaults(defaults.clone())
        .clock(setup.clock.clone())
        .transport(witness.transport(&setup.sipher));
    shown.of("SessionManagerBuilder", &builder);
    shown.of("Transport", &witness.transport(&setup.sipher));

    // A manager, and everything that belongs to it.
    let manager = builder.build().unwrap();
    let mut events = manager.events();
    shown.of("SessionLayer", &SessionLayer::new(manager.clone()));
    let service = SessionLayer::new(manager.clone()).layer(setup.sipher.clone());
    let mut call = Box::pin(tower::Service::call(&mut service.clone(), generate()));
    shown.of("ResponseFuture", &call);
    (&mut call).await.unwrap();
    shown.of("ResponseFuture", &call);
    service.clone().oneshot(generate()).await.unwrap();
    shown.of("SessionService", &service);
    // The key is the request's own and not marked as sensitive. After three requests, the layer remembers it.
    for _ in 0..3 {
        let mut request = generate();
        request
            .headers_mut()
            .insert("x-api-key", KEY.parse().unwrap());
        service.clone().oneshot(request).await.unwrap();
    }
    shown.of("SessionService", &service);
    let proving = SessionLayer::new(manager.clone()).with_proof();
    let proved = proving.layer(setup.sipher.clone()).oneshot(generate());
    let proved = proved.await.unwrap();
    shown.of("Proof", proved.extensions().get::<Proof>().unwrap());
    shown.of("Doubt", &Doubt::Late);
    shown.of("ForeignIds", &ForeignIds::Replace);
    shown.of("Outside", &Outside::Refuse);
    shown.of("OutsideReason", &OutsideReason::ApiKey);
    let replay = proving.replay_once();
    shown.of("ReplayLayer", &replay);
    let mut replay = replay.layer(setup.sipher.clone());
    shown.of("Replay", &replay);
    let call = tower::Service::call(&mut replay, generate());
    shown.of("ReplayFuture", &call);
    call.await.unwrap();
    show_what_checks(&mut shown, &manager, &setup).await;
    show_what_inlines(&mut shown, &defaults, &setup).await;
    let session = manager.session().await.unwrap();
    shown.of("Session", &session);
    let mut headers = http::HeaderMap::new();
    let lease = manager.apply(&mut headers).await.unwrap().unwrap();
    assert!(
        headers.values().all(HeaderValue::is_sensitive),
        "{headers:?}"
    );
    assert_eq!(headers.len(), 2);
    witness.note(&headers);
    shown.of("Lease", &lease);
    shown.of("Stats", &manager.stats());
    shown.of("Health", &manager.health());
    shown.of("MaxWait", &MaxWait(SECOND));
    shown.of("SessionsApi", &manager.api());
    let api = SessionsApi::new(witness.transport(&setup.sipher), "https://host", KEY);
    shown.of("SessionsApi", &api.unwrap());
    shown.of("SessionManager", &manager);
    let report = manager.shutdown(5 * SECOND).await;
    shown.of("SessionEnd", &report.sessions[0]);
    shown.of("SessionRef", &report.sessions[0].session);
    shown.of("Fate", &report.sessions[0].fate);
    shown.of("ShutdownReport", &report);
    shown.of("SessionManager", &manager);
    shown.of("Event", &events.try_recv().unwrap());
    shown.of("Events", &events);

    witness.ids_of(&setup.sipher);
    witness.secret(session.id().as_str());
    witness.assert_saw_no_secret();
    assert_eq!(shown.1, public_types(), "shown here, and there");
}

/// Layers that read answers, and their results.
async fn show_what_checks(shown: &mut Shown<'_>, manager: &SessionManager, setup: &Setup) {
    let layer = CheckedLayer::new(manager.clone());
    shown.of("CheckedLayer", &layer);
    shown.of("CheckedReplayLayer", &layer.clone().replay_once());
    let strategy = SessionRetryStrategy::new();
    shown.of("ByDefault", &strategy);
    shown.of("SessionRetryStrategy", &strategy);
    shown.of("RetryAfterPolicy", &RetryAfterPolicy::new(7));
    let mut checked = layer.layer(setup.sipher.clone());
    shown.of("Checked", &checked);
    let mut call = Box::pin(tower::Service::call(&mut checked, generate()));
    shown.of("CheckedFuture", &call);
    let answer = (&mut call).await.unwrap();
    shown.of("CheckedFuture", &call);
    shown.of("ReadAhead", answer.body());
    let mut client = layer.layer(reqwest::Client::new());
    let mut request =
        reqwest::Request::new(Method::POST, generate().uri().to_string().parse().unwrap());
    let key = KEY.parse().unwrap();
    request.headers_mut().insert("x-api-key", key);
    shown.of("Answering", &tower::Service::call(&mut client, request));
}

/// Layers that put defaults into bodies, among them a viewing key.
async fn show_what_inlines(shown: &mut Shown<'_>, defaults: &SessionDefaults, setup: &Setup) {
    let builder = setup.builder().defaults(defaults.clone());
    let builder = builder.inline_defaults(InlineDefaults::Always);
    let manager = builder.without_sessions().build().unwrap();
    let seen = tower::service_fn(|request: http::Request<ReadAhead<_>>| async move {
        let shown = format!("{:?}", request.body());
        Ok::<_, BoxError>(http::Response::new(shown))
    });
    let layer = InlineDefaultsLayer::new(manager.clone());
    shown.of("InlineDefaultsLayer", &layer);
    let service = layer.layer(seen);
    shown.of("InlineDefaultsService", &layer.layer(setup.sipher.clone()));
    let call = tower::Service::call(&mut service.clone(), generate());
    shown.of("InlineFuture", &call);
    let mut stack = SessionLayer::new(manager.clone()).layer(service);
    let answer = tower::Service::call(&mut stack, generate()).await.unwrap();
    assert!(answer.body().contains("ReadAhead"));
    shown.of("ReadAhead", answer.body());
    shown.of("Merge", &merge(b"{}", defaults));
    shown.of("InlineDefaults", &InlineDefaults::Always);
    shown.of("Inlined", &Inlined::Merged);
    shown.of("NotInlined", &NotInlined::Encoded);
    shown.of("NotInlinedStats", &manager.stats().not_inlined);
}

struct Shown<'a>(&'a Witness, BTreeSet<String>);

impl Shown<'_> {
    fn of(&mut self, name: &str, value: &dyn std::fmt::Debug) {
        self.0.note(value);
        self.1.insert(name.to_owned());
    }
}

/// Returns the names of the types that the source declares as `pub`. All of these are in the public interface. The
/// types of the test kit are left out, because they are not for production.
fn public_types() -> BTreeSet<String> {
    let mut names: BTreeSet<_> = ["Chain", "PrivacyLevel", "RpcProvider", "Backend"]
        .map(str::to_owned)
        .into(); // declared by a macro
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.extend((!path.ends_with("testing")).then_some(path));
                continue;
            }
            let source = fs::read_to_string(path).unwrap();
            let declared = source.lines().filter_map(|line| {
                let line = line.trim_start();
                line.strip_prefix("pub struct ")
                    .or(line.strip_prefix("pub enum "))
            });
            let name = |rest: &str| {
                let end = |c: char| !c.is_alphanumeric();
                rest.split(end).next().unwrap().to_owned()
            };
            names.extend(declared.map(name).filter(|name| !name.is_empty()));
        }
    }
    names
}
