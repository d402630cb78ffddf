//! What a response says about the session of its request.

use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use sipher_session::{
    BoxError, Doubt, Event, NoSession, OnNoSession, Proof, SessionDefaults, SessionLayer,
    SessionManager, SessionService,
    api::{Bytes, CreateSession},
    testing::{FakeBody, FakeSipher, Fault, Target, What},
};
use tokio::task::JoinHandle;
use tower::{Layer, Service, ServiceExt};

use crate::support::{Call, SECOND, Setup, generate, pass};

fn proving(setup: &Setup, manager: &SessionManager) -> SessionService<FakeSipher> {
    SessionLayer::new(manager.clone())
        .with_proof()
        .layer(setup.sipher.clone())
}

async fn send(setup: &Setup, manager: &SessionManager, request: Call) -> Response<FakeBody> {
    proving(setup, manager).oneshot(request).await.unwrap()
}

/// Sends a request that the server has handled, and whose answer is slow.
async fn under_way(setup: &Setup, manager: &SessionManager) -> JoinHandle<Response<FakeBody>> {
    let slow = Fault::new(What::DelayAnswer(10 * SECOND)).on(Target::Calls);
    setup.sipher.fault(slow);
    let answer = proving(setup, manager).oneshot(generate());
    let answer = tokio::spawn(async { answer.await.unwrap() });
    pass(1.0).await;
    answer
}

fn proof<B>(response: &Response<B>) -> Option<Proof> {
    response.extensions().get().copied()
}

fn doubt<B>(response: &Response<B>) -> Option<Doubt> {
    match proof(response) {
        Some(Proof::Session { doubt, .. }) => doubt,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_names_the_session_its_age_and_what_is_left_of_it() {
    let setup = Setup::new();
    let manager = setup.manager();
    let session = manager.session().await.unwrap();
    pass(100.0).await;
    setup
        .sipher
        .fault(Fault::new(What::Delay(4 * SECOND)).on(Target::Calls));
    let response = send(&setup, &manager, generate()).await;
    let Some(Proof::Session {
        session: sent_with,
        age,
        left,
        doubt,
        ..
    }) = proof(&response)
    else {
        panic!("{response:?}");
    };
    assert_eq!(sent_with.generation, session.generation());
    assert_eq!(sent_with.fingerprint, session.id().fingerprint());
    assert_eq!(
        (age, left),
        (104 * SECOND, 3_496 * SECOND),
        "when the answer was there"
    );
    assert_eq!(doubt, Some(Doubt::Unproven), "the first of its window");
    // The server was asked about this window just before. The next question is due, and the next request starts it.
    for seconds in [25.0, 1.0] {
        send(&setup, &manager, generate()).await;
        pass(seconds).await;
    }
    send(&setup, &manager, generate()).await;
    pass(1.0).await;
    let response = send(&setup, &manager, generate()).await;
    assert!(matches!(
        proof(&response),
        Some(Proof::Session { doubt: None, .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_unless_it_was_asked_for() {
    let setup = Setup::new();
    let manager = setup.manager();
    let response = setup.call(&manager).await.unwrap();
    assert_eq!(proof(&response), None);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_without_a_session_says_so_and_what_is_not_ours_says_nothing() {
    let setup = Setup::new();
    let manager = setup
        .builder()
        .on_no_session(OnNoSession::SendWithout)
        .build()
        .unwrap();
    let session = manager.session().await.unwrap();
    let mut own = generate();
    let by_hand = CreateSession::new(SessionDefaults::new());
    let by_hand = manager.api().create_session(&by_hand).await.unwrap();
    let id = HeaderValue::from_str(by_hand.id.as_str()).unwrap();
    own.headers_mut().insert("x-session-id", id);
    assert_eq!(
        proof(&send(&setup, &manager, own).await),
        Some(Proof::OwnSession)
    );
    let mut without = generate();
    without.extensions_mut().insert(NoSession);
    assert_eq!(
        proof(&send(&setup, &manager, without).await),
        Some(Proof::Without)
    );
    for foreign in [
        "https://elsewhere.example/v1/scan",
        "https://sipher-api.sip-protocol.org/v1/health",
    ] {
        let request = Request::get(foreign)
            .body(Full::<Bytes>::default())
            .unwrap();
        assert_eq!(
            proof(&send(&setup, &manager, request).await),
            None,
            "{foreign}"
        );
    }
    manager.invalidate(session.generation());
    setup
        .sipher
        .fault(Fault::new(What::Status(400)).on(Target::Create));
    assert_eq!(
        proof(&send(&setup, &manager, generate()).await),
        Some(Proof::Without)
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_the_end_of_its_session_is_late() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    let mut events = manager.events();
    manager.session().await.unwrap();
    for (held_up, late) in [
        (4, None),
        (10, Some(Doubt::Unproven)),
        (60, Some(Doubt::Late)),
        (70, Some(Doubt::Late)),
    ] {
        manager.session().await.unwrap();
        let delay = What::Delay(held_up * SECOND);
        setup.sipher.fault(Fault::new(delay).on(Target::Calls));
        let response = send(&setup, &manager, generate()).await;
        assert_eq!(doubt(&response), late, "{held_up}");
    }
    assert_eq!(manager.stats().late_answers, 2);
    let late = std::iter::from_fn(|| events.try_recv())
        .filter(|event| matches!(event, Event::Late { .. }));
    assert_eq!(late.count(), 2, "of two sessions");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_late_also_where_nobody_asked_for_a_proof_and_is_told_once_a_session() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    let mut events = manager.events();
    manager.session().await.unwrap();
    let delay = Fault::new(What::Delay(70 * SECOND))
        .on(Target::Calls)
        .times(3);
    setup.sipher.fault(delay);
    let call = || setup.call(&manager);
    let (one, two, three) = tokio::join!(call(), call(), call());
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(manager.stats().late_answers, 3);
    let late = std::iter::from_fn(|| events.try_recv())
        .filter(|event| matches!(event, Event::Late { .. }));
    assert_eq!(late.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sign_of_trouble_while_it_was_under_way_puts_an_answer_in_doubt() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    let slow = under_way(&setup, &manager).await;
    setup
        .sipher
        .fault(Fault::new(What::Status(503)).on(Target::Calls));
    setup.call(&manager).await.unwrap();
    let response = slow.await.unwrap();
    assert_eq!(doubt(&response), Some(Doubt::Suspect));
    let response = send(&setup, &manager, generate()).await;
    assert_eq!(doubt(&response), None, "it has been asked about");
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_a_session_that_was_found_lost_meanwhile_says_so() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    setup.sipher.restart();
    let slow = under_way(&setup, &manager).await;
    setup
        .sipher
        .fault(Fault::new(What::Refuse).on(Target::Calls));
    drop(setup.call(&manager).await);
    setup.call(&manager).await.unwrap();
    let response = slow.await.unwrap();
    assert_eq!(doubt(&response), Some(Doubt::Lost));
}

/// A service whose answer is ready as soon as it is called.
fn at_once()
-> impl tower::Service<Call, Response = Response<()>, Error = BoxError, Future: Send + 'static>
+ Clone
+ Send
+ 'static {
    tower::service_fn(|_: Call| std::future::ready(Ok::<_, BoxError>(Response::new(()))))
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_asked_for_after_the_end_of_its_session_is_late_however_soon_it_was_there()
 {
    let setup = Setup::new();
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    let layer = SessionLayer::new(manager.clone()).with_proof();
    let mut late_answers = 0;
    // With these numbers of earlier requests, the request is looked up, found again, and remembered.
    for requests_before in [0, 1, 4] {
        let mut events = manager.events();
        manager.session().await.unwrap();
        let mut service = layer.layer(at_once());
        for _ in 0..requests_before {
            service.call(generate()).await.unwrap();
        }
        let in_time = service.call(generate());
        let late = service.call(generate());
        pass(40.0).await;
        let in_time = doubt(&in_time.await.unwrap());
        assert_eq!(in_time, Some(Doubt::Unproven), "it has no window");
        assert_eq!(manager.stats().late_answers, late_answers);
        pass(30.0).await;
        assert_eq!(doubt(&late.await.unwrap()), Some(Doubt::Late));
        late_answers += 1;
        assert_eq!(manager.stats().late_answers, late_answers);
        let told = std::iter::from_fn(|| events.try_recv())
            .filter(|event| matches!(event, Event::Late { .. }));
        assert_eq!(told.count(), 1, "after {requests_before}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_proof_says_that_it_is_late_is_told_of_though_the_wall_clock_was_set_back()
{
    let setup = Setup::new();
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    let mut service = SessionLayer::new(manager.clone())
        .with_proof()
        .layer(at_once());
    for requests_before in [0, 4] {
        let mut events = manager.events();
        let late_answers = manager.stats().late_answers;
        manager.session().await.unwrap();
        for _ in 0..requests_before {
            service.call(generate()).await.unwrap();
        }
        let late = service.call(generate());
        setup.clock.set_back(30 * SECOND);
        pass(70.0).await;
        assert_eq!(doubt(&late.await.unwrap()), Some(Doubt::Late));
        assert_eq!(manager.stats().late_answers, late_answers + 1);
        let told = std::iter::from_fn(|| events.try_recv());
        let late = told.filter(|event| matches!(event, Event::Late { .. }));
        assert_eq!(late.count(), 1, "after {requests_before}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_in_a_buffer_until_its_session_has_ended_is_late() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(60 * SECOND).build().unwrap();
    let mut events = manager.events();
    let service = SessionLayer::new(manager.clone())
        .with_proof()
        .layer(at_once());
    let mut buffer = tower::buffer::Buffer::new(service, 8);
    manager.session().await.unwrap();
    for _ in 0..3 {
        buffer
            .ready()
            .await
            .unwrap()
            .call(generate())
            .await
            .unwrap();
    }
    let answer = buffer.ready().await.unwrap().call(generate());
    // The buffer's worker calls the layer long before the caller polls for the answer. The machine sleeps in the meantime.
    pass(1.0).await;
    setup.clock.suspend(30 * SECOND);
    pass(30.0).await;
    assert_eq!(doubt(&answer.await.unwrap()), Some(Doubt::Late));
    let told = std::iter::from_fn(|| events.try_recv());
    assert!(
        told.into_iter()
            .any(|event| matches!(event, Event::Late { .. }))
    );
}
