//! What owners of many API keys ask for: sessions at hand, holds that are over, and how it all is.

use sipher_session::{
    Chain, ErrorKind, SessionDefaults,
    testing::{Fault, Target, Tier, What},
};
use tower::ServiceExt;

use crate::support::{SECOND, Setup, generate, pass};

fn sui() -> SessionDefaults {
    SessionDefaults::new().chain(Chain::Sui)
}

#[tokio::test(start_paused = true)]
async fn a_request_of_a_tenant_finds_the_session_that_was_made_ready() {
    let setup = Setup::new();
    let (manager, key) = (setup.manager(), setup.sipher.api_key(Tier::Pro));
    let session = manager.ready(key.as_str(), sui()).await.unwrap();
    assert_eq!(session.defaults().chain, Some(Chain::Sui));
    let mut request = generate();
    request
        .headers_mut()
        .insert("x-api-key", key.parse().unwrap());
    request.extensions_mut().insert(sui());
    setup.service(&manager).oneshot(request).await.unwrap();
    assert_eq!(setup.last_id().as_deref(), Some(session.id().as_str()));
    assert_eq!(setup.creates(), 1);
    let error = manager.ready("", sui()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

#[tokio::test(start_paused = true)]
async fn holds_that_are_cleared_hold_one_key_no_longer_and_the_others_still() {
    let setup = Setup::new();
    let manager = setup.manager();
    let keys = ["sk_pro_one", "sk_pro_two"];
    for key in keys {
        let error = manager.ready(key, sui()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Credentials);
        setup.sipher.accept_key(key, Tier::Pro);
    }
    let calls = setup.creates();
    assert!(manager.ready(keys[0], sui()).await.is_err());
    assert_eq!(setup.creates(), calls, "nobody asks again so soon");
    assert!(manager.clear_holds(keys[0]));
    assert!(!manager.clear_holds(keys[0]), "once");
    manager.ready(keys[0], sui()).await.unwrap();
    assert!(manager.ready(keys[1], sui()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_was_raised_is_asked_about_at_once_after_its_hold_is_cleared() {
    let setup = Setup::new();
    let (manager, key) = (setup.manager(), setup.sipher.api_key(Tier::Pro));
    setup.sipher.burn(&key, 2_000);
    let error = manager.ready(key.as_str(), sui()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Quota);
    setup.sipher.restart(); // which forgets what was counted
    assert!(manager.ready(key.as_str(), sui()).await.is_err());
    assert!(manager.clear_holds(key.as_str()));
    manager.ready(key.as_str(), sui()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn health_says_how_it_is_and_makes_no_call() {
    let setup = Setup::new();
    let manager = setup.manager();
    let idle = manager.health();
    assert!(idle.is_ready());
    assert_eq!((idle.usable_for, idle.live_sessions), (None, 0));
    manager.session().await.unwrap();
    let first = manager.health().usable_for.unwrap();
    let calls = setup.sipher.log().len();
    for _ in 0..3_600 {
        manager.health();
        pass(1.0).await;
    }
    assert_eq!(setup.sipher.log().len(), calls);
    let over = manager.health();
    assert_eq!(
        (over.usable_for, over.live_sessions),
        (None, 0),
        "{first:?}"
    );
    assert!(over.is_ready(), "the next request makes one");
}

#[tokio::test(start_paused = true)]
async fn health_names_what_holds_and_is_not_ready_where_that_leaves_no_session() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup.sipher.revoke_key(&setup.key);
    manager.session().await.unwrap_err();
    let refused = manager.health();
    assert!(!refused.is_ready());
    let [held] = &refused.held[..] else {
        panic!("{refused:?}");
    };
    assert_eq!(held.kind(), ErrorKind::Credentials);
    assert!(
        held.next_attempt_in()
            .is_some_and(|left| left <= 30 * SECOND)
    );
    pass(31.0).await;
    assert!(manager.health().held.is_empty());

    let limited = What::RateLimited {
        retry_after: Some(20),
        in_body: true,
    };
    setup.sipher.accept_key(&setup.key, Tier::Pro);
    setup
        .sipher
        .fault(Fault::new(limited).on(Target::Create).times(1));
    let _ = tokio::time::timeout(SECOND, manager.session()).await;
    let kinds = manager.health().held.into_iter().map(|error| error.kind());
    assert_eq!(kinds.collect::<Vec<_>>(), [ErrorKind::RateLimited]);

    manager.shutdown(SECOND).await;
    let ended = manager.health();
    assert!(ended.is_shut_down && !ended.is_ready());
}
