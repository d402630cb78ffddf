//! Whole lives of a manager, in which everything that can fail does fail.

use std::collections::BTreeSet;

use sipher_session::{
    Chain, ErrorKind, OnNoSession, SessionDefaults, SessionLayer, SessionManager,
    api::CreateSession,
    testing::{FakeSipher, Fault, Target, Tier, What},
};
use tower::{Layer, ServiceExt};

use crate::{
    support::{Call, SECOND, Setup, generate, pass},
    witness::Witness,
};

const VIEWING_KEY: &str = "0x5ec2e7c0ffee5ec2e7c0ffee5ec2e7c0ffee";
const OTHER_VIEWING_KEY: &str = "0xfeedbeef0123feedbeef4567feedbeef89ab";

/// One manager, from its first request to its end.
struct Life<'a> {
    witness: &'a Witness,
    setup: Setup,
    manager: SessionManager,
    other_key: String,
}

impl<'a> Life<'a> {
    fn new(witness: &'a Witness, policy: OnNoSession) -> Self {
        let setup = Setup::new();
        let other_key = setup.sipher.api_key(Tier::Enterprise);
        for secret in [&setup.key, &other_key, VIEWING_KEY, OTHER_VIEWING_KEY] {
            witness.secret(secret);
        }
        let builder = setup
            .builder()
            .defaults(defaults(VIEWING_KEY))
            .transport(witness.transport(&setup.sipher))
            .create_timeout(SECOND)
            .max_wait(2 * SECOND)
            .verify_every(30 * SECOND)
            .on_no_session(policy);
        witness.note(&builder);
        let manager = builder.build().unwrap();
        witness.manager(&manager);
        Self {
            witness,
            setup,
            manager,
            other_key,
        }
    }

    async fn send(&self, request: Call) {
        let layer = SessionLayer::new(self.manager.clone());
        self.witness.note(&layer);
        let inner = self.witness.overhear(&self.setup.sipher);
        let service = layer.layer(inner);
        let answer = tokio::time::timeout(5 * SECOND, service.oneshot(request)).await;
        if let Ok(answer) = answer {
            self.witness.outcome(answer);
        }
    }

    /// Sends requests with the configured key, with another customer's key, and with defaults of their own.
    async fn requests(&self) {
        self.send(generate()).await;
        let mut request = generate();
        let mut key: http::HeaderValue = self.other_key.parse().unwrap();
        key.set_sensitive(true); // the caller marks its own key
        request.headers_mut().insert("x-api-key", key);
        self.send(request).await;
        let mut request = generate();
        request.extensions_mut().insert(defaults(OTHER_VIEWING_KEY));
        self.send(request).await;
        let session = self.witness.outcome(self.manager.session().await);
        self.witness.note(&session);
        let mut headers = http::HeaderMap::new();
        let lease = self.witness.outcome(self.manager.apply(&mut headers).await);
        self.witness.note(&(lease, headers));
    }

    /// Makes the four session calls by hand.
    async fn by_hand(&self) {
        let (api, witness) = (self.manager.api().timeout(2 * SECOND), self.witness);
        let request = CreateSession::new(defaults(OTHER_VIEWING_KEY)).ttl(60 * SECOND);
        witness.note(&request);
        let Some(record) = witness.outcome(api.create_session(&request).await) else {
            return;
        };
        witness.note(&record);
        witness.note_text(&record.id);
        let patch = defaults(VIEWING_KEY);
        witness.note(&witness.outcome(api.get_session(&record.id).await));
        witness.note(&witness.outcome(api.update_session(&record.id, &patch).await));
        witness.outcome(api.delete_session(&record.id).await);
        witness.outcome(api.get_session(&record.id).await);
    }

    async fn live(&self, fault: Fault) -> Vec<sipher_session::Event> {
        let mut events = self.manager.events();
        self.requests().await;
        let witness = self.witness;
        self.setup.sipher.fault(fault.clone());
        self.requests().await;
        self.by_hand().await;
        pass(31.0).await; // time for a check
        self.requests().await;
        pass(50.0 * 60.0).await; // time for a renewal
        self.requests().await;
        self.setup.sipher.restart();
        let sign = Fault::new(What::Status(503)).on(Target::Calls);
        self.setup.sipher.fault(sign);
        self.requests().await;
        self.manager.invalidate(1);
        let patch = SessionDefaults::new().chain(Chain::Sui);
        witness.outcome(self.manager.update_defaults(patch).await);
        witness.outcome(self.manager.set_api_key(self.other_key.as_str()).await);
        self.requests().await;
        witness.manager(&self.manager);
        pass(60.0).await;
        let report = self.manager.shutdown(20 * SECOND).await;
        witness.note(&report);
        witness.note_text(&report);
        self.requests().await;
        self.by_hand().await;
        witness.ids_of(&self.setup.sipher);
        witness.events(&mut events)
    }
}

fn defaults(viewing_key: &str) -> SessionDefaults {
    SessionDefaults::new()
        .chain(Chain::Near)
        .default_viewing_key(viewing_key)
}

fn faults() -> Vec<What> {
    let answer = |status, body: &str| What::Answer {
        status,
        headers: Vec::new(),
        body: body.to_owned(),
    };
    let quota = r#"{"success":false,"error":{"code":"DAILY_QUOTA_EXCEEDED","message":"no","details":{"resetAt":"2026-11-24T00:00:00Z"}}}"#;
    let mut faults: Vec<_> = [400, 401, 403, 404, 410, 413, 429, 500, 503]
        .map(What::Status)
        .into();
    faults.extend([
        What::Html(404),
        What::Html(502),
        answer(429, quota),
        answer(200, "{}"),
        What::RateLimited {
            retry_after: Some(1),
            in_body: true,
        },
        What::RedirectTo("https://elsewhere.example/v1".to_owned()),
        What::Huge(100_000),
        What::Malformed,
        What::Refuse,
        What::LoseRequest,
        What::Hang,
        What::Delay(3 * SECOND),
        What::DelayAnswer(3 * SECOND),
        What::HangAnswer,
        What::LoseAnswer,
        What::HalfBody,
        What::SlowBody(SECOND),
        What::DuplicateDelivery,
        What::EchoWrong,
        What::DropDefault("chain".to_owned()),
        What::ShortLife(SECOND),
        What::ExpireEarly(3_599 * SECOND),
    ]);
    faults
}

#[tokio::test(start_paused = true)]
async fn no_failure_of_any_call_shows_a_secret() {
    let targets = [
        Target::Create,
        Target::Get,
        Target::Update,
        Target::Delete,
        Target::Calls,
    ];
    let (mut kinds, mut events, mut messages) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (i, what) in faults().into_iter().enumerate() {
        let witness = Witness::new();
        let _recording = metrics::set_default_local_recorder(witness.recorder());
        for target in targets {
            let policy = match i % 4 {
                0 => OnNoSession::SendWithout,
                _ => OnNoSession::Fail,
            };
            let life = Life::new(&witness, policy);
            let fault = Fault::new(what.clone()).on(target).times(40);
            for event in life.live(fault).await {
                events.insert(first_word(&event));
            }
        }
        witness.assert_saw_no_secret();
        let everything = witness.everything();
        let all_kinds = everything.split("kind: ").skip(1);
        kinds.extend(all_kinds.map(|text| text.split(',').next().unwrap().to_owned()));
        messages.extend(witness.logged().into_iter().map(|logged| logged.message));
    }
    // The lives had all these kinds of errors. The tests below cover the other kinds.
    for kind in [
        "Credentials",
        "NotFound",
        "Quota",
        "RateLimited",
        "Rejected",
        "Shutdown",
        "Timeout",
        "Unavailable",
        "WrongAddress",
        "WrongAnswer",
    ] {
        assert!(kinds.contains(kind), "no {kind} in {kinds:?}");
    }
    for event in [
        "CheckFailed",
        "CreateFailed",
        "Created",
        "Deleted",
        "LeftToExpire",
        "Lost",
        "PossibleOrphan",
        "RenewalFailed",
        "Retired",
        "SendingWithout",
        "Suspected",
        "Verified",
    ] {
        assert!(events.contains(event), "no {event} in {events:?}");
    }
    assert!(messages.len() > 12, "{messages:?}");
}

#[tokio::test(start_paused = true)]
async fn no_failure_of_the_callers_own_shows_a_secret() {
    let witness = Witness::new();
    let _recording = metrics::set_default_local_recorder(witness.recorder());
    let life = Life::new(&witness, OnNoSession::Fail);
    let mut events = life.manager.events();
    // Two API keys, two session ids, half an id, and a key with a space in it.
    let id = format!("sess_{}", "0123456789abcdef".repeat(4));
    let long_key = format!("sk_pro_{}", "0123456789abcdef".repeat(100));
    witness.secret(&id);
    for (name, values) in [
        ("x-session-id", &[id.as_str(), &id][..]),
        ("x-session-id", &[&id[..40]]),
        ("x-api-key", &[&life.other_key, &life.setup.key]),
        ("x-api-key", &[&long_key]),
        (
            "x-api-key",
            &[&format!("{} {}", life.other_key, life.other_key)],
        ),
        ("authorization", &[&format!("bearer {}", life.other_key)]),
    ] {
        let mut request = generate();
        for value in values {
            let mut value: http::HeaderValue = value.parse().unwrap();
            value.set_sensitive(true);
            request.headers_mut().append(name, value);
        }
        let refused = life.setup.service(&life.manager).oneshot(request).await;
        assert!(witness.outcome(refused).is_none(), "{name}");
    }
    let not_hex = format!("{VIEWING_KEY}-not-hexadecimal");
    let wrong = life.manager.replace_defaults(defaults(&not_hex)).await;
    assert!(witness.outcome(wrong).is_none());
    let wrong = life
        .manager
        .set_api_key(format!("{}\n", life.other_key))
        .await;
    assert!(witness.outcome(wrong).is_none());
    let keyless = life.setup.builder().call_budget(1, 1);
    let keyless = keyless.api_key(life.other_key.as_str()).build().unwrap();
    witness.outcome(life.setup.call(&keyless).await);
    let mut request = generate();
    request.extensions_mut().insert(defaults(OTHER_VIEWING_KEY));
    let budget = life.setup.service(&keyless).oneshot(request).await;
    assert_eq!(kind(&witness, budget), ErrorKind::Budget);
    let keyless = SessionManager::builder().transport(witness.transport(&life.setup.sipher));
    let keyless = keyless.build().unwrap();
    assert_eq!(kind(&witness, keyless.session().await), ErrorKind::NoApiKey);
    // The last handle is dropped without a shutdown.
    life.manager.session().await.unwrap();
    witness.ids_of(&life.setup.sipher);
    drop((life.manager, keyless));
    pass(1.0).await;
    let told: Vec<_> = witness.events(&mut events).iter().map(first_word).collect();
    assert!(told.contains(&"Abandoned".to_owned()), "{told:?}");
    witness.assert_saw_no_secret();
}

fn first_word(event: &sipher_session::Event) -> String {
    let text = format!("{event:?}");
    text.split([' ', '{']).next().unwrap().to_owned()
}

fn kind<T>(
    witness: &Witness,
    outcome: Result<T, impl Into<sipher_session::BoxError>>,
) -> ErrorKind {
    let error = outcome.err().unwrap().into();
    witness.error(&*error);
    sipher_session::Error::find(&*error).unwrap().kind()
}

#[test]
fn without_a_runtime_no_secret_is_shown_either() {
    let witness = Witness::new();
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    witness.secret(&key);
    let manager = SessionManager::builder()
        .api_key(key)
        .transport(witness.transport(&sipher))
        .build()
        .unwrap();
    let waker = std::task::Waker::noop();
    let mut call = Box::pin(manager.session());
    let outcome = call
        .as_mut()
        .poll(&mut std::task::Context::from_waker(waker));
    let std::task::Poll::Ready(outcome) = outcome else {
        panic!("it waits for nobody")
    };
    assert_eq!(kind(&witness, outcome), ErrorKind::NoRuntime);
    witness.assert_saw_no_secret();
}
