//! Changes of defaults and API key under traffic.

use sipher_session::{
    Chain, ErrorKind, Event, PrivacyLevel, SessionDefaults,
    testing::{Fault, SessionUse, Target, Tier, What},
};
use tower::ServiceExt;

use crate::support::{SECOND, Setup, generate, pass};

fn chain(chain: Chain) -> SessionDefaults {
    SessionDefaults::new().chain(chain)
}

#[tokio::test(start_paused = true)]
async fn an_update_is_merged_and_a_replacement_takes_away() {
    let setup = Setup::new();
    let manager = setup.manager();
    let shielded = SessionDefaults::new().privacy_level(PrivacyLevel::Shielded);
    manager.update_defaults(shielded.clone()).await.unwrap();
    let session = manager.session().await.unwrap();
    assert_eq!(
        *session.defaults(),
        chain(Chain::Near).privacy_level(PrivacyLevel::Shielded)
    );
    manager.replace_defaults(shielded.clone()).await.unwrap();
    assert_eq!(*manager.session().await.unwrap().defaults(), shielded);
    setup.call(&manager).await.unwrap();
    assert_eq!(
        setup.last_chain().as_deref(),
        Some("solana"),
        "no default, as was asked for"
    );
    pass(1.0).await;
    assert_eq!(
        setup.sipher.live_sessions(),
        1,
        "the older ones are deleted"
    );
}

#[tokio::test(start_paused = true)]
async fn requests_go_on_with_the_older_defaults_until_the_switch_and_never_after() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup.call(&manager).await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::DelayAnswer(5 * SECOND)).on(Target::Create));
    let update = tokio::spawn({
        let manager = manager.clone();
        async move { manager.update_defaults(chain(Chain::Sui)).await }
    });
    for _ in 0..40 {
        pass(0.1).await;
        let start = tokio::time::Instant::now();
        setup.call(&manager).await.unwrap();
        assert_eq!(setup.last_chain().as_deref(), Some("near"));
        assert!(start.elapsed().is_zero(), "nobody waits");
    }
    update.await.unwrap().unwrap();
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("sui"));
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn a_change_that_fails_changes_nothing() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup.call(&manager).await.unwrap();
    let bad_key = SessionDefaults::new().default_viewing_key("nope");
    let error = manager.update_defaults(bad_key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    setup
        .sipher
        .fault(Fault::new(What::Html(400)).on(Target::Create));
    let error = manager
        .update_defaults(chain(Chain::Sui))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
    let error = manager.set_api_key("wrong").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credentials);
    assert_eq!(
        manager.set_api_key("").await.unwrap_err().kind(),
        ErrorKind::Config
    );
    let creates = setup.creates();
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
    assert_eq!(setup.creates(), creates);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_dropped_changes_nothing_and_loses_nothing() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup.call(&manager).await.unwrap();
    setup.sipher.set_latency(2 * SECOND);
    let update = manager.update_defaults(chain(Chain::Sui));
    assert!(tokio::time::timeout(SECOND, update).await.is_err());
    pass(3.0).await;
    setup.sipher.set_latency(std::time::Duration::ZERO);
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
    let report = manager.shutdown(5 * SECOND).await;
    assert_eq!(report.deleted, 2, "the successor was kept, and is known");
    assert_eq!(setup.sipher.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_rotated_key_is_used_by_all_and_its_predecessors_session_is_deleted_with_it() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup.call(&manager).await.unwrap();
    let newer = setup.sipher.api_key(Tier::Pro);
    manager.set_api_key(newer.as_str()).await.unwrap();
    setup.call(&manager).await.unwrap();
    let key = |exchange: &sipher_session::testing::Exchange| exchange.key.clone();
    let uses = setup.uses();
    assert_ne!(key(&uses[0]), key(&uses[1]));
    pass(1.0).await;
    assert_eq!(setup.sipher.live_sessions_of(&setup.key), 0);
    assert_eq!(setup.sipher.live_sessions_of(&newer), 1);
    setup.sipher.assert_every_call_had_a_session();
}

#[tokio::test(start_paused = true)]
async fn tenants_with_keys_of_their_own_get_the_new_defaults_too() {
    let setup = Setup::new();
    let manager = setup.builder().build().unwrap();
    let tenant = setup.sipher.api_key(Tier::Pro);
    let call = async || {
        let mut request = generate();
        request
            .headers_mut()
            .insert("x-api-key", tenant.parse().unwrap());
        setup.service(&manager).oneshot(request).await.unwrap();
        setup.last_chain().unwrap()
    };
    assert_eq!(call().await, "near");
    manager.update_defaults(chain(Chain::Base)).await.unwrap();
    assert_eq!(call().await, "base");
    pass(1.0).await;
    assert_eq!(setup.sipher.live_sessions_of(&tenant), 1);
}

#[tokio::test(start_paused = true)]
async fn without_a_configured_key_defaults_change_without_a_call() {
    let setup = Setup::new();
    let manager = sipher_session::SessionManager::builder()
        .transport(sipher_session::api::Transport::new(setup.sipher.clone()))
        .clock(setup.clock.clone())
        .build()
        .unwrap();
    manager.replace_defaults(chain(Chain::Sui)).await.unwrap();
    assert_eq!(setup.sipher.session_calls(), 0);
    let mut request = generate();
    request
        .headers_mut()
        .insert("x-api-key", setup.key.parse().unwrap());
    setup.service(&manager).oneshot(request).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("sui"));
}

#[tokio::test(start_paused = true)]
async fn changes_at_the_same_time_are_made_one_on_the_other() {
    let setup = Setup::new();
    setup.sipher.set_latency(SECOND);
    let manager = setup.manager();
    let (one, two) = tokio::join!(
        manager.update_defaults(chain(Chain::Sui)),
        manager.update_defaults(SessionDefaults::new().privacy_level(PrivacyLevel::Maximum)),
    );
    one.and(two).unwrap();
    let session = manager.session().await.unwrap();
    assert_eq!(
        *session.defaults(),
        chain(Chain::Sui).privacy_level(PrivacyLevel::Maximum)
    );
}

#[tokio::test(start_paused = true)]
async fn going_back_to_older_defaults_does_not_bring_their_older_session_back() {
    let setup = Setup::new();
    let manager = setup.manager();
    let first = manager.session().await.unwrap();
    manager.replace_defaults(chain(Chain::Sui)).await.unwrap();
    manager.replace_defaults(chain(Chain::Near)).await.unwrap();
    let third = manager.session().await.unwrap();
    assert_eq!(first.defaults(), third.defaults());
    assert_ne!(first.id().as_str(), third.id().as_str());
}

#[tokio::test(start_paused = true)]
async fn sending_without_is_counted_for_each_request_and_told_once_for_each_cause() {
    let setup = Setup::new();
    let policy = sipher_session::OnNoSession::SendWithout;
    let manager = setup.builder().on_no_session(policy).build().unwrap();
    let mut events = manager.events();
    setup
        .sipher
        .fault(Fault::new(What::Status(403)).on(Target::Create).times(2));
    for _ in 0..5 {
        setup.call(&manager).await.unwrap();
        assert_eq!(
            setup.last_chain().as_deref(),
            Some("solana"),
            "the silent downgrade, by choice"
        );
    }
    pass(30.0).await;
    setup.call(&manager).await.unwrap();
    pass(60.0).await;
    setup.call(&manager).await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
    assert_eq!(manager.stats().sent_without, 6);
    let mut told = 0;
    while let Some(event) = events.try_recv() {
        told += usize::from(matches!(event, Event::SendingWithout { .. }));
    }
    assert_eq!(told, 1, "it was the same cause all the time");
    assert!(
        setup
            .uses()
            .iter()
            .all(|exchange| !matches!(exchange.session, SessionUse::Dead { .. }))
    );

    manager.shutdown(SECOND).await;
    assert!(
        setup.call(&manager).await.is_err(),
        "a shutdown is final under every policy"
    );
}

#[tokio::test(start_paused = true)]
async fn the_counters_say_what_happened() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup
        .sipher
        .fault(Fault::new(What::Delay(5 * SECOND)).on(Target::Calls));
    let slow = tokio::spawn(setup.service(&manager).oneshot(generate()));
    pass(1.0).await;
    let stats = manager.stats();
    assert_eq!(
        (stats.live_sessions, stats.in_flight, stats.created),
        (1, 1, 1)
    );
    slow.await.unwrap().unwrap();
    manager.invalidate(1);
    manager.session().await.unwrap();
    pass(1.0).await;
    let stats = manager.stats();
    assert_eq!((stats.in_flight, stats.created, stats.deleted), (0, 2, 1));
    assert_eq!(stats.session_calls, setup.sipher.session_calls() as u64);
}
