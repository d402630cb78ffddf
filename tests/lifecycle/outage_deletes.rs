//! Sessions that are due for deletion while nobody can connect to the server.

use sipher_session::{
    Event, SessionDefaults, SessionManager,
    testing::{Fault, Target, Tier, What},
};
use tower::ServiceExt;

use crate::support::{SECOND, Setup, generate, pass};

/// Creates the sessions of this many tenants, and gives them all up.
async fn given_up(setup: &Setup, manager: &SessionManager, count: usize) {
    let mut events = manager.events();
    for _ in 0..count {
        let key = setup.sipher.api_key(Tier::Pro);
        manager.ready(key, SessionDefaults::new()).await.unwrap();
    }
    let created = std::iter::from_fn(|| events.try_recv());
    let created = created.filter_map(|event| match event {
        Event::Created { session, .. } => Some(session.generation),
        _ => None,
    });
    created.for_each(|generation| assert!(manager.invalidate(generation)));
}

fn left_to_expire(events: &mut sipher_session::Events) -> usize {
    let all = std::iter::from_fn(|| events.try_recv());
    all.filter(|event| matches!(event, Event::LeftToExpire { .. }))
        .count()
}

#[tokio::test(start_paused = true)]
async fn deletes_wait_for_the_end_of_an_outage_and_are_all_made_then() {
    let all = [What::Refuse, What::Html(502), What::Cloudflare(521)];
    for (what, count) in all
        .into_iter()
        .flat_map(|what| [(what.clone(), 1), (what, 50)])
    {
        let setup = Setup::new();
        let manager = setup.manager();
        let mut events = manager.events();
        given_up_in_an_outage(&setup, &manager, what.clone(), count).await;
        let tries = manager.stats().session_calls;
        pass(600.0).await;
        let tries = manager.stats().session_calls - tries;
        assert!((5..=30).contains(&tries), "{what:?}: {tries} tries");
        assert_eq!(manager.stats().pending_deletes, count, "{what:?}");
        setup.sipher.clear_faults();
        pass(60.0).await;
        assert_eq!(setup.sipher.live_sessions(), 0, "{what:?}");
        assert_eq!(manager.stats().pending_deletes, 0, "{what:?}");
        assert_eq!(left_to_expire(&mut events), 0, "{what:?}");
        assert_eq!(manager.stats().deleted, count, "{what:?}");
    }
}

async fn given_up_in_an_outage(setup: &Setup, manager: &SessionManager, what: What, count: u64) {
    for _ in 0..count {
        let key = setup.sipher.api_key(Tier::Pro);
        manager.ready(key, SessionDefaults::new()).await.unwrap();
        pass(1.0).await;
    }
    setup.sipher.fault(Fault::new(what).always());
    (1..=count).for_each(|generation| assert!(manager.invalidate(generation)));
}

#[tokio::test(start_paused = true)]
async fn deletes_try_no_more_where_creates_look_whether_the_server_is_back() {
    let setup = Setup::new();
    let manager = setup.manager();
    given_up_in_an_outage(&setup, &manager, What::Refuse, 50).await;
    // One tenant sends requests all the time.
    for _ in 0..600 {
        setup
            .service(&manager)
            .oneshot(generate())
            .await
            .unwrap_err();
        pass(1.0).await;
    }
    // The few deletes are sent before a create has failed.
    let tried = setup.deletes();
    assert!(tried <= 5, "{tried}");
    setup.sipher.clear_faults();
    pass(60.0).await;
    assert_eq!(setup.deletes(), tried + 50);
    assert_eq!(manager.stats().deleted, 50);
    assert_eq!(manager.stats().pending_deletes, 0);
}

#[tokio::test(start_paused = true)]
async fn deletes_that_an_outage_holds_end_with_their_sessions() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(600 * SECOND).build().unwrap();
    let mut events = manager.events();
    given_up_in_an_outage(&setup, &manager, What::Refuse, 50).await;
    pass(700.0).await;
    assert_eq!(manager.stats().pending_deletes, 0);
    assert_eq!(left_to_expire(&mut events), 50);
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_deletes_are_tried_though_an_outage_holds_them() {
    let setup = Setup::new();
    let manager = setup.manager();
    given_up_in_an_outage(&setup, &manager, What::Refuse, 50).await;
    pass(40.0).await;
    setup.sipher.clear_faults();
    let report = manager.shutdown(5 * SECOND).await;
    assert_eq!(report.deleted, 50, "{report}");
}

/// A failed delete says nothing about creates, so creates are retried as usual.
#[tokio::test(start_paused = true)]
async fn a_delete_that_cannot_connect_fails_no_create() {
    let setup = Setup::new();
    let manager = setup.manager();
    given_up(&setup, &manager, 1).await;
    setup
        .sipher
        .fault(Fault::new(What::Refuse).on(Target::SessionCalls).times(3));
    pass(0.5).await;
    manager.session().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_refuses_deletes_alone_is_no_outage() {
    let setup = Setup::new();
    setup.sipher.set_rate_limit(None);
    let manager = setup.builder().max_sessions(5).build().unwrap();
    let mut events = manager.events();
    let refused = Fault::new(What::Html(502)).on(Target::Delete);
    setup.sipher.fault(refused.always());
    let mut down = 0;
    for _ in 0..100 {
        let key = setup.sipher.api_key(Tier::Pro);
        for _ in 0..3 {
            let mut request = generate();
            let key = key.parse().unwrap();
            request.headers_mut().insert("x-api-key", key);
            setup.service(&manager).oneshot(request).await.unwrap();
            pass(10.0).await;
        }
        let told = std::iter::from_fn(|| events.try_recv());
        down += told
            .filter(|event| matches!(event, Event::ServerDown { .. }))
            .count();
    }
    assert!(setup.deletes() > 5);
    assert_eq!(down, 0);
}
