//! Tests rows of the guide's table of situations.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use sipher_session::{
    BoxError, Chain, Error, ErrorKind, SessionDefaults, SessionLayer, SessionManager,
    api::{Bytes, Transport},
    testing::{FakeBody, FakeSipher, Fault, Target, TestClock, Tier, What},
};
use tokio::time::sleep;
use tower::{Layer, ServiceExt};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

struct Situation {
    sipher: FakeSipher,
    key: String,
    clock: TestClock,
    sessions: SessionManager,
}

impl Situation {
    fn new(tier: Tier) -> Self {
        let sipher = FakeSipher::new();
        sipher.clock().suspend(HOUR); // the server has been up for an hour
        let (key, clock) = (sipher.api_key(tier), TestClock::new());
        let sessions = SessionManager::builder()
            .api_key(key.as_str())
            .defaults(SessionDefaults::new().chain(Chain::Near))
            .transport(Transport::new(sipher.clone()))
            .clock(clock.clone())
            .build()
            .unwrap();
        Self {
            sipher,
            key,
            clock,
            sessions,
        }
    }

    async fn call(&self) -> Result<Response<FakeBody>, BoxError> {
        self.call_with(None).await
    }

    async fn call_with(&self, key: Option<&str>) -> Result<Response<FakeBody>, BoxError> {
        let mut request = Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
            .header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("x-api-key", key);
        }
        let request = request.body(Full::<Bytes>::from("{}")).unwrap();
        let http = SessionLayer::new(self.sessions.clone()).layer(self.sipher.clone());
        http.oneshot(request).await
    }

    async fn failure(&self) -> Error {
        let error = self.call().await.unwrap_err();
        Error::find(&error).unwrap().clone()
    }

    fn goes_on_near(&self) -> bool {
        self.sipher.log().last().unwrap().chain.as_deref() == Some("near")
    }
}

#[tokio::test(start_paused = true)]
async fn while_nobody_can_connect_a_session_is_used_until_a_call_fails() {
    let it = Situation::new(Tier::Pro);
    it.call().await.unwrap();
    it.sipher
        .fault(Fault::new(What::Refuse).on(Target::SessionCalls).always());
    it.call().await.unwrap();
    it.sipher.fault(Fault::new(What::Refuse).always());
    it.call().await.unwrap_err(); // the client's own error
    assert_eq!(it.failure().await.kind(), ErrorKind::Unavailable);
    it.sipher.clear_faults();
    sleep(MINUTE).await;
    it.call().await.unwrap();
    assert!(it.goes_on_near());
}

#[tokio::test(start_paused = true)]
async fn without_quota_a_session_is_used_to_its_end() {
    let it = Situation::new(Tier::Pro);
    it.call().await.unwrap();
    it.sipher.burn(&it.key, 2_000);
    for _ in 0..58 {
        sleep(MINUTE).await;
        it.call().await.unwrap();
    }
    assert!(it.goes_on_near());
    sleep(2 * MINUTE).await;
    assert_eq!(it.failure().await.kind(), ErrorKind::Quota);
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_nobody_elses_trouble_and_is_tried_at_once_if_you_say_so() {
    let it = Situation::new(Tier::Pro);
    it.sipher.revoke_key(&it.key);
    assert_eq!(it.failure().await.kind(), ErrorKind::Credentials);
    let other = it.sipher.api_key(Tier::Pro);
    it.call_with(Some(&other)).await.unwrap();
    it.sipher.accept_key(&it.key, Tier::Pro);
    assert_eq!(it.failure().await.kind(), ErrorKind::Credentials);
    assert!(it.sessions.clear_holds(it.key.as_str()));
    it.call().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_free_tier_says_so_by_its_code() {
    let error = Situation::new(Tier::Free).failure().await;
    assert_eq!(error.kind(), ErrorKind::Credentials);
    assert_eq!(error.code(), Some("TIER_ACCESS_DENIED"));
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_set_forward_costs_a_session_and_one_that_is_set_back_costs_nothing() {
    let it = Situation::new(Tier::Pro);
    it.call().await.unwrap();
    it.clock.set_back(HOUR);
    it.call().await.unwrap();
    assert_eq!(it.sessions.stats().created, 1);
    it.clock.suspend(3 * HOUR); // a wall clock that is set forward looks the same
    it.call().await.unwrap();
    assert_eq!(it.sessions.stats().created, 2);
    it.sipher.assert_every_call_had_a_session();
}
