//! Requests with a session id of their own, over time.

use sipher_session::{
    Chain, ErrorKind, ForeignIds, NoSession, OnNoSession, Proof, SessionDefaults, SessionLayer,
    SessionManager,
    api::CreateSession,
    testing::{Fault, SessionUse, Target, What},
};
use tower::{Layer, ServiceExt};

use crate::support::{Call, SECOND, Setup, generate, ours, pass};

fn with_id(id: &str) -> Call {
    let mut request = generate();
    let headers = request.headers_mut();
    headers.insert("x-session-id", id.parse().unwrap());
    request
}

async fn current(manager: &SessionManager) -> String {
    let session = manager.session().await.unwrap();
    session.id().as_str().to_owned()
}

/// Sends a request for which the server takes 20 s.
async fn slowly(setup: &Setup, manager: &SessionManager, request: Call) {
    let fault = Fault::new(What::Delay(20 * SECOND)).on(Target::Others);
    setup.sipher.fault(fault);
    let service = setup.service(manager);
    tokio::spawn(async move { service.oneshot(request).await.unwrap() });
    pass(0.5).await;
}

#[tokio::test(start_paused = true)]
async fn a_session_is_not_deleted_under_a_request_that_brought_its_id_along() {
    let setup = Setup::apart();
    for other in [false, true] {
        let owner = setup.manager();
        let through = if other {
            setup.manager()
        } else {
            owner.clone()
        };
        let id = current(&owner).await;
        let deletes = setup.deletes();
        slowly(&setup, &through, with_id(&id)).await;
        assert!(owner.invalidate(1));
        pass(10.0).await;
        assert_eq!(setup.deletes(), deletes, "through another manager: {other}");
        pass(20.0).await;
        assert_eq!(setup.deletes(), deletes + 1);
    }
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_brought_the_managers_id_along_is_proved_and_one_that_kept_its_own_is_not() {
    let setup = Setup::apart();
    let manager = setup.manager();
    let layer = SessionLayer::new(manager.clone()).with_proof();
    let service = layer.layer(setup.sipher.clone());
    let by_hand = CreateSession::new(SessionDefaults::new());
    let by_hand = manager.api().create_session(&by_hand).await.unwrap();
    let mut proofs = Vec::new();
    for id in [current(&manager).await.as_str(), by_hand.id.as_str()] {
        let answer = service.clone().oneshot(with_id(id)).await.unwrap();
        proofs.push(answer.extensions().get::<Proof>().copied());
    }
    assert!(
        matches!(proofs[0], Some(Proof::Session { .. })),
        "{proofs:?}"
    );
    assert_eq!(proofs[1], Some(Proof::OwnSession));
}

/// An id counts as alive until the time that the server's answer named.
#[tokio::test(start_paused = true)]
async fn an_id_from_the_sessions_api_is_kept_until_it_expires() {
    let setup = Setup::apart();
    let (maker, user) = (setup.manager(), setup.manager());
    let sui = SessionDefaults::new().chain(Chain::Sui);
    let sui = CreateSession::new(sui).ttl(100 * SECOND);
    let made = maker.api().create_session(&sui).await.unwrap();
    pass(50.0).await;
    // Another manager fetched the session. So the id is known there as well, for the rest of the session's life.
    user.api().get_session(&made.id).await.unwrap();
    drop(maker);
    pass(44.0).await;
    let service = setup.service(&user);
    service
        .clone()
        .oneshot(with_id(made.id.as_str()))
        .await
        .unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("sui"));
    pass(2.0).await; // the session has 4 s left
    let error = service
        .oneshot(with_id(made.id.as_str()))
        .await
        .unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::InvalidRequest);
}

/// With `SendWithout`, no other id takes the place of the ended one.
#[tokio::test(start_paused = true)]
async fn an_id_that_has_ended_is_not_sent_where_there_is_no_session_to_take_its_place() {
    let setup = Setup::apart();
    let builder = setup.builder().on_no_session(OnNoSession::SendWithout);
    let manager = builder.build().unwrap();
    let id = current(&manager).await;
    manager.invalidate(1);
    let fault = Fault::new(What::Status(400)).on(Target::Create);
    setup.sipher.fault(fault.always());
    setup.service(&manager).oneshot(with_id(&id)).await.unwrap();
    assert_eq!(setup.uses().last().unwrap().session, SessionUse::None);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_to_get_no_session_gets_none_in_place_of_its_own() {
    let setup = Setup::apart();
    for policy in [ForeignIds::Refuse, ForeignIds::Replace] {
        let manager = setup.builder().foreign_ids(policy).build().unwrap();
        let former = current(&manager).await;
        manager.invalidate(1);
        let current = current(&manager).await;
        for id in [&former, &format!("sess_{:064x}", 7)] {
            let mut request = with_id(id);
            request.extensions_mut().insert(NoSession);
            let error = setup.service(&manager).oneshot(request).await.unwrap_err();
            assert_eq!(ours(&error).kind(), ErrorKind::InvalidRequest);
        }
        // The request already carries the current id, so that is its own choice.
        let mut request = with_id(&current);
        request.extensions_mut().insert(NoSession);
        setup.service(&manager).oneshot(request).await.unwrap();
        assert_eq!(setup.last_id(), Some(current));
    }
}

/// An id on one request is not put on later requests.
#[tokio::test(start_paused = true)]
async fn nothing_is_remembered_of_an_id_that_was_brought_along() {
    let setup = Setup::apart();
    let manager = setup.builder().foreign_ids(ForeignIds::Keep).build();
    let manager = manager.unwrap();
    let service = setup.service(&manager);
    let strangers = format!("sess_{:064x}", 7);
    for _ in 0..4 {
        service.clone().oneshot(with_id(&strangers)).await.unwrap();
        assert_eq!(setup.last_chain().as_deref(), Some("solana"));
        service.clone().oneshot(generate()).await.unwrap();
        assert_eq!(setup.last_chain().as_deref(), Some("near"));
    }
    assert_eq!(setup.creates(), 1);
}

/// The id may belong to another tenant. Without a key, only the server can decide that.
#[tokio::test(start_paused = true)]
async fn an_id_without_an_api_key_is_refused_unless_ids_are_kept() {
    let setup = Setup::apart();
    for policy in [ForeignIds::Refuse, ForeignIds::Replace, ForeignIds::Keep] {
        let manager = SessionManager::builder()
            .transport(sipher_session::api::Transport::new(setup.sipher.clone()))
            .foreign_ids(policy)
            .build()
            .unwrap();
        let request = with_id(&format!("sess_{:064x}", 7));
        let answer = setup.service(&manager).oneshot(request).await;
        match answer {
            Ok(answer) => assert_eq!((policy, answer.status().as_u16()), (ForeignIds::Keep, 401)),
            Err(error) => assert_eq!(ours(&error).kind(), ErrorKind::NoApiKey, "{policy:?}"),
        }
    }
}

/// Two proxies on the way may each add a session id.
#[tokio::test(start_paused = true)]
async fn an_id_that_is_malformed_or_doubled_is_replaced_where_that_is_asked_for() {
    let good = format!("sess_{}", "0a".repeat(32));
    let upper = good.to_uppercase();
    let headers: [&[&str]; 5] = [&["x"], &[""], &[&good, &good], &["x", &good], &[&upper]];
    for policy in [ForeignIds::Replace, ForeignIds::Refuse, ForeignIds::Keep] {
        for ids in headers {
            let setup = Setup::apart();
            let manager = setup.builder().foreign_ids(policy).build().unwrap();
            let with_ids = |mut request: Call| {
                for id in ids {
                    request
                        .headers_mut()
                        .append("x-session-id", id.parse().unwrap());
                }
                request
            };
            let answer = setup.service(&manager).oneshot(with_ids(generate())).await;
            if policy == ForeignIds::Replace {
                answer.unwrap();
                assert_eq!(setup.last_chain().as_deref(), Some("near"), "{ids:?}");
                assert_eq!(setup.last_id(), Some(current(&manager).await));
            } else {
                let error = answer.unwrap_err();
                assert_eq!(ours(&error).kind(), ErrorKind::InvalidRequest, "{ids:?}");
            }
            // A request that opts out gets no session. It must not go out with headers that the server would ignore.
            let mut without = with_ids(generate());
            without.extensions_mut().insert(NoSession);
            let error = setup.service(&manager).oneshot(without).await.unwrap_err();
            assert_eq!(ours(&error).kind(), ErrorKind::InvalidRequest, "{ids:?}");
        }
    }
}
