//! Health says nothing, and the session that is asked for instead belongs to another tenant.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::Full;
use sipher_session::{
    BoxError, Chain, Event, RetireReason, SessionDefaults, SessionId, SessionManager, SessionsApi,
    api::Transport,
    testing::{FakeSipher, Fault, Target, Tier, What},
};
use tower::ServiceExt;

use crate::support::{Call, SECOND, Setup, generate, is_of, pass};

/// Two tenants, of which the first has the older session. A front may answer that tenant's checks instead of the server.
struct Two {
    setup: Setup,
    manager: SessionManager,
    keys: [String; 2],
    oldest: SessionId,
    refused: Arc<AtomicUsize>,
}

type Front = fn() -> Response<Full<Bytes>>;

impl Two {
    /// Both tenants have a session, and health hangs. `front` says how many of the first tenant's checks it answers, and with what.
    async fn new(front: Option<(Front, usize)>) -> Self {
        let setup = Setup::new();
        let keys = [(); 2].map(|()| setup.sipher.api_key(Tier::Pro));
        let refused = Arc::<AtomicUsize>::default();
        let (first, count) = (keys[0].clone(), refused.clone());
        let transport = setup.behind(move |call| {
            let is_its = call.method() == Method::GET && is_of(call, &first);
            let (front, times) = front.filter(|_| is_its)?;
            (count.fetch_add(1, Ordering::SeqCst) < times).then(front)
        });
        let manager = setup.builder().transport(transport).build().unwrap();
        call(&setup, &manager, &keys[0]).await.unwrap();
        let oldest = SessionId::parse(&setup.last_id().unwrap()).unwrap();
        pass(1.0).await;
        call(&setup, &manager, &keys[1]).await.unwrap();
        let it = Self {
            setup,
            manager,
            keys,
            oldest,
            refused,
        };
        let hangs = Fault::new(What::Hang).on(Target::Health);
        it.setup.sipher.fault(hangs.always());
        it
    }

    async fn call(&self, key: &str) -> Result<(), BoxError> {
        call(&self.setup, &self.manager, key).await
    }

    fn api(&self, key: &str) -> SessionsApi {
        let transport = Transport::new(self.setup.sipher.clone());
        SessionsApi::new(transport, FakeSipher::base_url(), key).unwrap()
    }
}

async fn call(setup: &Setup, manager: &SessionManager, key: &str) -> Result<(), BoxError> {
    let mut request: Call = generate();
    let key = key.parse().unwrap();
    request.headers_mut().insert("x-api-key", key);
    setup.service(manager).oneshot(request).await.map(drop)
}

fn front(status: u16, body: &'static str) -> Response<Full<Bytes>> {
    let answer = Response::builder().status(status);
    let answer = answer.header("content-type", "application/json");
    answer.body(body.into()).unwrap()
}

fn bad_gateway() -> Response<Full<Bytes>> {
    front(502, "")
}

fn broken() -> Response<Full<Bytes>> {
    let mut answer = front(
        500,
        r#"{"success":false,"error":{"code":"INTERNAL_ERROR","message":"m"}}"#,
    );
    for (name, value) in [("ratelimit-policy", "100;w=60"), ("x-request-id", "1")] {
        answer.headers_mut().insert(name, value.parse().unwrap());
    }
    answer
}

fn revoked() -> Response<Full<Bytes>> {
    front(
        401,
        r#"{"success":false,"error":{"code":"INVALID_API_KEY","message":"m"}}"#,
    )
}

#[tokio::test(start_paused = true)]
async fn a_tenant_whose_session_cannot_be_asked_for_keeps_nobody_from_theirs() {
    for front in [bad_gateway as Front, broken, revoked] {
        let it = Two::new(Some((front, usize::MAX))).await;
        for minute in 0..30 {
            pass(70.0).await;
            let second = it.call(&it.keys[1]).await;
            assert!(second.is_ok(), "{} {minute}: {second:?}", front().status());
        }
        let refused = it.refused.load(Ordering::SeqCst);
        assert!(
            (1..=8).contains(&refused),
            "{}: {refused}",
            front().status()
        );
        it.setup.sipher.assert_no_dead_id();
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_server_says_of_the_pace_to_one_is_heeded_for_all() {
    let limited = || {
        let mut answer = front(
            429,
            r#"{"success":false,"error":{"code":"RATE_LIMIT_EXCEEDED","message":"m"}}"#,
        );
        answer.headers_mut().insert("retry-after", 60.into());
        answer
    };
    let it = Two::new(Some((limited, 1))).await;
    pass(70.0).await;
    let calls = || it.setup.gets() + it.setup.creates();
    let before = calls();
    drop(it.call(&it.keys[1]).await);
    assert_eq!(it.refused.load(Ordering::SeqCst), 1);
    assert_eq!(calls(), before, "it was told to wait");
    pass(70.0).await;
    it.call(&it.keys[1]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_session_that_turns_out_to_have_other_defaults_is_used_no_more() {
    let it = Two::new(None).await;
    let oldest = it.oldest.clone();
    let other = SessionDefaults::new().chain(Chain::Base);
    it.api(&it.keys[0])
        .update_session(&oldest, &other)
        .await
        .unwrap();
    let mut events = it.manager.events();
    pass(70.0).await;
    it.call(&it.keys[1]).await.unwrap();
    let gone = std::iter::from_fn(|| events.try_recv()).any(|event| {
        matches!(
            event,
            Event::Retired {
                reason: RetireReason::WrongAnswer,
                ..
            }
        )
    });
    assert!(gone);
    it.call(&it.keys[0]).await.unwrap();
    assert_eq!(it.setup.last_chain().as_deref(), Some("near"));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_deleted_while_it_was_asked_for_says_nothing_of_others() {
    let it = Two::new(None).await;
    let third = it.setup.sipher.api_key(Tier::Pro);
    it.call(&third).await.unwrap();
    let slow = Fault::new(What::Delay(3 * SECOND)).on(Target::Get).times(1);
    it.setup.sipher.fault(slow);
    let mut events = it.manager.events();
    pass(70.0).await;
    let (answered, ()) = tokio::join!(it.call(&it.keys[1]), async {
        pass(1.5).await;
        it.manager.invalidate(1);
    });
    answered.unwrap();
    it.call(&third).await.unwrap();
    assert_eq!(it.setup.gets(), 2, "the oldest, and that of who asked");
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
    assert!(it.setup.deletes() > 0, "{told:#?}");
    let is_lost = |event: &Event| matches!(event, Event::Lost { .. });
    assert!(!told.iter().any(is_lost), "{told:#?}");
}
