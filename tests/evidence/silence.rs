//! Health says nothing, and the manager asks for a session instead.

use std::time::Duration;

use sipher_session::{
    Chain, SessionDefaults, SessionLayer,
    testing::{Fault, Target, What},
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use crate::support::{SECOND, Setup, generate, pass};

/// A gateway replaces the 503 of health, while Solana is away, with a page of its own. Everything else works.
#[tokio::test(start_paused = true)]
async fn a_gateways_page_in_place_of_health_costs_one_session_call_in_five_minutes() {
    for page in [
        What::Html(503),
        What::Html(500),
        What::Html(404),
        What::Html(200),
        What::Status(404),
        What::Status(503),
    ] {
        let name = format!("{page:?}");
        let setup = Setup::new();
        let sessions = setup.manager();
        setup.call(&sessions).await.unwrap();
        let page = Fault::new(page).on(Target::Health);
        setup.sipher.fault(page.always());
        let gets = setup.gets();
        // Again and again, nothing proves the process for a while.
        for _ in 0..20 {
            pass(70.0).await;
            setup.call(&sessions).await.expect(&name);
        }
        let gets = setup.gets() - gets;
        assert!((4..=5).contains(&gets), "{name}: {gets} in 23 minutes");
        assert_eq!(setup.creates(), 1, "{name}");
        // A restart is still noticed.
        setup.sipher.restart();
        pass(310.0).await;
        setup.call(&sessions).await.unwrap();
        assert_eq!(setup.creates(), 2, "{name}");
        setup.sipher.assert_no_dead_id();
    }
}

/// A gateway that cannot reach the server answers in place of health. The session call would fail in the same way, so it is not made.
#[tokio::test(start_paused = true)]
async fn while_a_gateway_does_not_reach_the_server_no_session_is_asked_for() {
    for status in [502, 504, 521, 530] {
        let setup = Setup::new();
        let sessions = setup.manager();
        setup.call(&sessions).await.unwrap();
        let gone = Fault::new(What::Html(status)).on(Target::Any);
        setup.sipher.fault(gone.always());
        for _ in 0..5 {
            drop(setup.call(&sessions).await);
        }
        assert_eq!(setup.gets(), 0, "{status}");
        setup.sipher.clear_faults();
        pass(15.0).await;
        setup.call(&sessions).await.unwrap();
        setup.sipher.assert_no_dead_id();
    }
}

/// The question and the session call after it must both fit into `max_wait`.
#[tokio::test(start_paused = true)]
async fn a_question_that_hangs_leaves_time_for_what_takes_its_place() {
    for max_wait in [300, 1_000, 1_500, 10_000].map(Duration::from_millis) {
        let setup = Setup::new();
        let sessions = setup.builder().max_wait(max_wait).build().unwrap();
        setup.call(&sessions).await.unwrap();
        let hangs = Fault::new(What::Hang).on(Target::Health);
        setup.sipher.fault(hangs.always());
        pass(70.0).await;
        let start = Instant::now();
        setup.call(&sessions).await.unwrap();
        assert!(start.elapsed() <= SECOND.min(max_wait / 2), "{max_wait:?}");
        assert_eq!((setup.gets(), setup.creates()), (1, 1), "{max_wait:?}");
        setup.sipher.assert_no_dead_id();
    }
}

/// More sessions are in use than `max_sessions` allows. Each request brings its evicted session back.
#[tokio::test(start_paused = true)]
async fn sessions_that_make_room_for_one_another_are_asked_about_as_well() {
    let setup = Setup::new();
    let sessions = setup.builder().max_sessions(1).build().unwrap();
    let bare = What::Answer {
        status: 200,
        headers: Vec::new(),
        body: "{}".into(),
    };
    let bare = Fault::new(bare).on(Target::Calls);
    setup.sipher.fault(bare.always());
    let chains = [Chain::Near, Chain::Base];
    for chain in chains.iter().cycle().take(1_000) {
        let mut request = generate();
        let defaults = SessionDefaults::new().chain(chain.clone());
        request.extensions_mut().insert(defaults);
        setup.service(&sessions).oneshot(request).await.unwrap();
        pass(0.1).await;
    }
    assert_eq!(setup.creates(), 2);
    assert!(setup.questions() > 0, "no proof for 100 s");
}

/// Health says nothing, and the one session call of five minutes was made for another session. A session that was idle
/// for long is asked for all the same, and its request waits for the answer.
#[tokio::test(start_paused = true)]
async fn a_session_that_was_idle_for_long_and_is_in_doubt_is_asked_for_before_it_is_used() {
    let setup = Setup::new();
    setup.silence_health();
    let sessions = setup.manager();
    let older = SessionDefaults::new().chain(Chain::Base);
    let older = SessionLayer::new(sessions.clone()).defaults(older);
    let call_older = || older.layer(setup.sipher.clone()).oneshot(generate());
    call_older().await.unwrap();
    pass(1.0).await;
    setup.call(&sessions).await.unwrap();
    setup.sipher.restart();
    pass(1_000.0).await;
    call_older().await.unwrap();
    setup.call(&sessions).await.unwrap();
    let uses = setup.uses();
    let chains = uses.iter().map(|it| it.chain.as_deref());
    let expected = ["base", "near", "base", "near"].map(Some);
    assert!(chains.eq(expected), "{uses:?}");
    assert_eq!((setup.gets(), setup.creates()), (2, 4));
}

/// The question has taken so long that no request may carry the session any more.
#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_health_is_silent_is_not_asked_for() {
    let setup = Setup::new();
    let manager = setup.builder().ttl(100 * SECOND).build().unwrap();
    setup.call(&manager).await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Hang).on(Target::Health).always());
    pass(94.5).await;
    setup.call(&manager).await.unwrap();
    assert_eq!((setup.gets(), setup.creates()), (0, 2));
}

/// Behind replicas that share nothing, each create shows another process, and so does the delete of the session that made room.
#[tokio::test(start_paused = true)]
async fn while_health_tells_nothing_no_request_waits_for_the_next_question() {
    let setup = Setup::new();
    setup.sipher.replicas(3);
    setup.sipher.round_robin();
    setup.silence_health();
    let builder = setup.builder().max_sessions(2).max_wait(3 * SECOND);
    let sessions = builder.build().unwrap();
    for chain in [Chain::Near, Chain::Sui, Chain::Base, Chain::Aptos]
        .iter()
        .cycle()
        .take(40)
    {
        let defaults = SessionDefaults::new().chain(chain.clone());
        let layer = SessionLayer::new(sessions.clone()).defaults(defaults);
        let answer = layer.layer(setup.sipher.clone()).oneshot(generate()).await;
        answer.unwrap_or_else(|error| panic!("{chain}, after {:?}: {error}", setup.creates()));
        pass(60.0).await;
    }
}

/// A gateway put its page in place of health. The server is replaced by another version, and the gateway by one that lets health through.
#[tokio::test(start_paused = true)]
async fn after_a_failed_call_requests_wait_for_health_also_where_it_told_nothing_for_long() {
    let setup = Setup::new();
    let sessions = setup.builder().max_wait(SECOND).build().unwrap();
    setup.call(&sessions).await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Html(503)).on(Target::Health).always());
    for _ in 0..4 {
        pass(50.0).await;
        setup.call(&sessions).await.unwrap();
    }
    assert_eq!(setup.gets(), 1, "the next one is not due");
    setup
        .sipher
        .fault(Fault::new(What::LoseAnswer).on(Target::Calls).times(3));
    for _ in 0..3 {
        setup.call(&sessions).await.unwrap_err();
    }
    setup.sipher.restart();
    setup.sipher.clear_faults();
    // Health answers again. Until it is asked, no request goes out.
    drop(setup.call(&sessions).await);
    setup.sipher.assert_no_dead_id();
    pass(10.0).await;
    setup.call(&sessions).await.unwrap();
    setup.sipher.assert_no_dead_id();
    assert_eq!((setup.gets(), setup.creates()), (1, 2));
}

/// The windows tell of no restart either. A session that was idle for long is asked for itself, and is missing.
#[tokio::test(start_paused = true)]
async fn where_health_says_nothing_and_one_session_is_missing_the_next_request_of_another_asks_for_its_own()
 {
    let setup = Setup::new();
    setup.sipher.set_rate_limit(None);
    let sessions = setup.builder().ttl(600 * SECOND).build().unwrap();
    let base = SessionDefaults::new().chain(Chain::Base);
    let other = SessionLayer::new(sessions.clone()).defaults(base);
    let other = other.layer(setup.sipher.clone());
    setup.call(&sessions).await.unwrap();
    pass(2.0).await;
    other.clone().oneshot(generate()).await.unwrap();
    setup.silence_health();
    pass(70.0).await;
    setup.call(&sessions).await.unwrap();
    assert_eq!(setup.gets(), 1);
    setup.sipher.restart();
    pass(70.0).await;
    // Nobody can tell that the session is gone.
    other.clone().oneshot(generate()).await.unwrap();
    assert_ne!(setup.last_chain().as_deref(), Some("base"));
    pass(100.0).await;
    setup.sipher.clear_log();
    setup.call(&sessions).await.unwrap();
    other.oneshot(generate()).await.unwrap();
    setup.sipher.assert_no_dead_id();
    assert_eq!((setup.gets(), setup.creates()), (2, 2));
}
