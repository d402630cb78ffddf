//! Every new session is wrong: behind servers that do not share sessions, and behind a proxy that removes the session id.

use sipher_session::{CheckedLayer, ErrorKind};
use tower::{Layer, ServiceExt};

use super::{answering, checked, json};
use crate::support::{SECOND, Setup, generate, ours, pass};

/// A pro key has a quota of 2,000 session operations a day.
#[tokio::test(start_paused = true)]
async fn a_day_behind_a_proxy_that_takes_the_id_away_costs_few_sessions() {
    let setup = Setup::new();
    let manager = setup.manager();
    let inner = answering(|| json(r#"{"data":{"chain":"solana"}}"#));
    let service = CheckedLayer::new(manager.clone()).layer(inner);
    let mut sent = 0;
    for _ in 0..8_640 {
        let error = service.clone().oneshot(generate()).await.unwrap_err();
        let error = ours(&error);
        assert_eq!(error.kind(), ErrorKind::WrongDefaults);
        // Without a session, the request is not sent. The error then says when a retry makes sense.
        sent += u64::from(error.retry_after().is_none());
        assert!(error.retry_after().unwrap_or_default() <= 600 * SECOND);
        pass(10.0).await;
    }
    assert_eq!(
        sent,
        manager.stats().wrong_defaults,
        "each session is used once"
    );
    let creates = setup.creates();
    assert!((140..160).contains(&creates), "{creates}");
    assert_eq!(setup.sipher.session_calls(), creates);
}

#[tokio::test(start_paused = true)]
async fn an_hour_behind_two_servers_that_share_nothing_costs_few_sessions_and_no_wrong_answer() {
    let setup = Setup::new();
    setup.sipher.set_common_store(false);
    setup.sipher.replicas(2);
    let manager = setup.manager();
    let service = checked(&setup, &manager);
    let mut right = 0;
    for _ in 0..3_600 {
        match service.clone().oneshot(generate()).await {
            Ok(answer) => {
                assert_eq!(super::chain(answer).await, "near");
                right += 1;
            }
            Err(error) => assert_eq!(ours(&error).kind(), ErrorKind::WrongDefaults),
        }
        pass(1.0).await;
    }
    let creates = setup.creates();
    assert!(creates <= 16, "{creates} for {right} right answers");
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_of_one_set_of_defaults_and_ends_by_itself() {
    let setup = Setup::new();
    let manager = setup.manager();
    let stripped = answering(|| json(r#"{"data":{"chain":"solana"}}"#));
    let stripped = CheckedLayer::new(manager.clone()).layer(stripped);
    for _ in 0..2 {
        stripped.clone().oneshot(generate()).await.unwrap_err();
    }
    let error = manager.session().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongDefaults);
    assert_eq!(error.retry_after(), Some(2 * SECOND));
    let sui = sipher_session::SessionDefaults::new().chain(sipher_session::Chain::Sui);
    manager.update_defaults(sui).await.unwrap();
    manager.session().await.unwrap();
    let near = sipher_session::SessionDefaults::new().chain(sipher_session::Chain::Near);
    pass(2.0).await;
    manager.replace_defaults(near).await.unwrap();
    assert_eq!(setup.creates(), 4);
}
