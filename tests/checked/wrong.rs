//! No answer for another chain reaches the caller, and its session counts as lost at once.

use sipher_session::{
    Chain, Doubt, ErrorKind, Event, Events, Proof, RetireReason, SessionDefaults, SessionLayer,
    testing::{Fault, SessionUse, Target, What},
};
use tower::{Layer, ServiceExt};

use super::{answering, chain, checked, is_confirmed, json, post, proof, send};
use crate::support::{SECOND, Setup, generate, ours, pass};

fn all(events: &mut Events) -> Vec<Event> {
    std::iter::from_fn(|| events.try_recv()).collect()
}

fn count(events: &[Event], is_one: impl Fn(&Event) -> bool) -> usize {
    events.iter().filter(|event| is_one(event)).count()
}

#[tokio::test(start_paused = true)]
async fn an_answer_for_the_sessions_chain_is_confirmed() {
    let setup = Setup::new();
    let manager = setup.manager();
    let session = manager.session().await.unwrap();
    pass(100.0).await;
    let answer = send(&setup, &manager, generate()).await.unwrap();
    let Some(Proof::Confirmed {
        session: sent_with,
        age,
        left,
        ..
    }) = proof(&answer)
    else {
        panic!("{answer:?}");
    };
    assert_eq!(sent_with.generation, session.generation());
    assert_eq!((age, left), (100 * SECOND, 3_500 * SECOND));
    assert_eq!(chain(answer).await, "near");
    assert_eq!(manager.stats().confirmed, 1);
    assert_eq!(manager.stats().wrong_defaults, 0);
}

#[tokio::test(start_paused = true)]
async fn of_ten_restarts_that_no_call_met_no_caller_gets_a_wrong_answer() {
    let setup = Setup::new();
    let manager = setup.manager();
    let service = checked(&setup, &manager);
    let mut withheld = 0;
    for second in 0..100 {
        if second % 10 == 5 {
            setup.sipher.restart();
        }
        match service.clone().oneshot(generate()).await {
            Ok(answer) => {
                assert!(is_confirmed(&answer), "{answer:?}");
                assert_eq!(chain(answer).await, "near");
            }
            Err(error) => {
                assert_eq!(ours(&error).kind(), ErrorKind::WrongDefaults);
                assert!(ours(&error).is_transient());
                assert_eq!(second % 10, 5, "right after a restart, and never again");
                withheld += 1;
            }
        }
        pass(1.0).await;
    }
    assert_eq!(withheld, 10);
    assert_eq!(manager.stats().wrong_defaults, 10);
    assert_eq!(manager.stats().confirmed, 90);
    assert_eq!(setup.creates(), 11, "one for each restart");
    let calls = setup.sipher.session_calls();
    assert_eq!(calls, setup.creates(), "no other call was made");
}

#[tokio::test(start_paused = true)]
async fn of_many_wrong_answers_each_is_withheld_and_the_session_is_lost_once() {
    let setup = Setup::new();
    let manager = setup.manager();
    let lost = manager.session().await.unwrap();
    let mut events = manager.events();
    pass(10.0).await;
    setup.sipher.restart();
    let slow = Fault::new(What::DelayAnswer(SECOND)).on(Target::Calls);
    setup.sipher.fault(slow.times(5));
    let calls = (0..5).map(|_| tokio::spawn(checked(&setup, &manager).oneshot(generate())));
    for call in calls.collect::<Vec<_>>() {
        let error = call.await.unwrap().unwrap_err();
        assert_eq!(ours(&error).kind(), ErrorKind::WrongDefaults);
        let (text, id) = (error.to_string(), lost.id().fingerprint().to_string());
        for part in ["`near`", "`solana`", &id] {
            assert!(text.contains(part), "{text}");
        }
        // A late wrong answer to the lost session must not end its successor.
        send(&setup, &manager, generate()).await.unwrap();
    }
    assert_eq!(setup.creates(), 2);
    let events = all(&mut events);
    let is_wrong = |event: &Event| matches!(event, Event::WrongDefaults { session, expected: Chain::Near, answered: Chain::Solana, .. } if session.generation == lost.generation());
    assert_eq!(count(&events, is_wrong), 1, "{events:#?}");
    // Five requests with a wrong answer, and the first request.
    let is_lost = |event: &Event| matches!(event, Event::Lost { requests: 6, .. });
    assert_eq!(count(&events, is_lost), 1, "{events:#?}");
    let is_retired = |event: &Event| {
        matches!(
            event,
            Event::Retired {
                reason: RetireReason::Lost,
                ..
            }
        )
    };
    assert_eq!(count(&events, is_retired), 1, "{events:#?}");
    assert_eq!(manager.stats().wrong_defaults, 5);
}

#[tokio::test(start_paused = true)]
async fn what_has_lost_one_session_is_asked_about_the_others() {
    let setup = Setup::new();
    let manager = setup.manager();
    let sui = SessionLayer::new(manager.clone()).defaults(SessionDefaults::new().chain(Chain::Sui));
    let sui = sui.layer(setup.sipher.clone());
    sui.clone().oneshot(generate()).await.unwrap();
    manager.session().await.unwrap();
    pass(10.0).await;
    setup.sipher.restart();
    send(&setup, &manager, generate()).await.unwrap_err();
    let before = setup.uses().len();
    // This layer does not check, so a dead id would show in the log.
    sui.oneshot(generate()).await.unwrap();
    let use_of_sui = &setup.uses()[before];
    assert!(matches!(use_of_sui.session, SessionUse::Live { .. }));
    assert_eq!((setup.questions(), setup.gets()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_compared_with_the_session_that_its_request_bore() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    let slow = Fault::new(What::DelayAnswer(10 * SECOND)).on(Target::Others);
    setup.sipher.fault(slow);
    let call = tokio::spawn(checked(&setup, &manager).oneshot(generate()));
    pass(1.0).await;
    let sui = SessionDefaults::new().chain(Chain::Sui);
    manager.replace_defaults(sui).await.unwrap();
    let answer = call.await.unwrap().unwrap();
    assert!(is_confirmed(&answer));
    assert_eq!(chain(answer).await, "near", "as the older session has it");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_answer_to_a_replaced_session_leaves_its_successor_in_use() {
    let setup = Setup::new();
    let manager = setup.manager();
    let inner = answering(|| json(r#"{"data":{"chain":"sui"}}"#));
    let inner = tower::ServiceBuilder::new()
        .map_future(|answer| async move {
            pass(10.0).await;
            answer.await
        })
        .service(inner);
    let service = sipher_session::CheckedLayer::new(manager.clone()).layer(inner);
    manager.session().await.unwrap();
    let call = tokio::spawn(service.oneshot(generate()));
    pass(1.0).await;
    let sui = SessionDefaults::new().chain(Chain::Sui);
    manager.replace_defaults(sui).await.unwrap();
    let present = manager.session().await.unwrap();
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(
        ours(&error).kind(),
        ErrorKind::WrongDefaults,
        "near was asked for"
    );
    assert!(!present.usable_for().is_zero());
    assert_eq!(setup.creates(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_its_owner_deletes_meanwhile_says_nothing_of_the_others() {
    let setup = Setup::new();
    let manager = setup.manager();
    let session = manager.session().await.unwrap();
    let mut events = manager.events();
    let slow = Fault::new(What::Delay(10 * SECOND)).on(Target::Others);
    setup.sipher.fault(slow);
    let call = tokio::spawn(checked(&setup, &manager).oneshot(generate()));
    pass(1.0).await;
    manager.api().delete_session(session.id()).await.unwrap();
    let error = call.await.unwrap().unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::WrongDefaults);
    let events = all(&mut events);
    let is_sign = |event: &Event| matches!(event, Event::Suspected { .. } | Event::Lost { .. });
    assert_eq!(count(&events, is_sign), 0, "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_expired_on_the_way_says_nothing_of_the_others() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    let mut events = manager.events();
    let slow = Fault::new(What::Delay(4_000 * SECOND)).on(Target::Others);
    setup.sipher.fault(slow);
    let error = send(&setup, &manager, generate()).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::WrongDefaults);
    let events = all(&mut events);
    let is_sign = |event: &Event| matches!(event, Event::Suspected { .. });
    assert_eq!(count(&events, is_sign), 0, "{events:#?}");
}

#[tokio::test(start_paused = true)]
async fn text_of_the_servers_is_not_shown() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut events = manager.events();
    let body = r#"{"data":{"chain":"sk_pro_secret"}}"#;
    let service = sipher_session::CheckedLayer::new(manager).layer(answering(move || json(body)));
    let error = service.oneshot(generate()).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::WrongDefaults);
    let shown = format!("{error} {error:?} {:?}", all(&mut events));
    assert!(!shown.contains("sk_pro_secret"), "{shown}");
    assert!(shown.contains("`unknown`"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_came_late_and_is_right_is_confirmed() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    let slow = Fault::new(What::DelayAnswer(4_000 * SECOND)).on(Target::Calls);
    setup.sipher.fault(slow.times(2));
    let answer = send(&setup, &manager, generate()).await.unwrap();
    assert!(is_confirmed(&answer), "the answer is the better evidence");
    // An answer that is not checked is marked as late instead.
    let named = post("/v1/stealth/generate", r#"{"chain":"near"}"#);
    let answer = send(&setup, &manager, named).await.unwrap();
    let Some(Proof::Session { doubt, .. }) = proof(&answer) else {
        panic!("{answer:?}");
    };
    assert_eq!(doubt, Some(Doubt::Late));
}
