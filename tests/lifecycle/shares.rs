//! Keys that the server has accepted, and keys that it has not, share one budget.

use std::time::Duration;

use sipher_session::{
    CallBudget, ErrorKind, SessionDefaults, SessionManager,
    testing::{Operation, Tier},
};
use tokio::time::Instant;

use crate::support::{SECOND, Setup, pass};

/// Creates tenants that the server accepts. Each has a session.
async fn tenants(setup: &Setup, manager: &SessionManager, count: usize) -> Vec<String> {
    let mut keys = Vec::new();
    for _ in 0..count {
        let key = setup.sipher.api_key(Tier::Pro);
        ready(manager, &key, 0).await.unwrap();
        keys.push(key);
        pass(1.0).await;
    }
    keys
}

async fn ready(manager: &SessionManager, key: &str, number: usize) -> Result<(), ErrorKind> {
    let mut defaults = SessionDefaults::new();
    defaults.default_viewing_key = Some(format!("0x{number:08x}").as_str().into());
    let session = manager.ready(key, defaults).await;
    session.map(drop).map_err(|error| error.kind())
}

/// A tenant that always needs more sessions, and so uses every call it can get.
fn keep_busy(manager: &SessionManager, key: &str) {
    for worker in 0..8 {
        let (manager, key) = (manager.clone(), key.to_owned());
        tokio::spawn(async move {
            for number in 1.. {
                let _ = ready(&manager, &key, 1_000 * worker + number % 1_000).await;
                pass(0.05).await;
            }
        });
    }
}

/// Sends requests with made-up keys, a hundred at a time.
fn flood(manager: &SessionManager) {
    let manager = manager.clone();
    tokio::spawn(async move {
        for number in 0.. {
            for key in 0..100 {
                let (manager, key) = (manager.clone(), format!("sk_pro_madeup{number}x{key}"));
                tokio::spawn(async move { ready(&manager, &key, 0).await });
            }
            pass(1.0).await;
        }
    });
}

fn assert_bounded(setup: &Setup, budget: CallBudget) {
    let log = setup.sipher.log().into_iter();
    let log = log.filter(|entry| entry.operation != Operation::Other);
    let at: Vec<_> = log.map(|entry| entry.at).collect();
    for (i, start) in at.iter().enumerate() {
        for (j, end) in at.iter().enumerate().skip(i) {
            let (calls, span) = ((j - i + 1) as u64, *end - *start);
            assert!(calls <= budget.bound(span), "{calls} calls in {span:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn accepted_keys_that_take_all_there_is_do_not_starve_a_new_one() {
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(10_000).build().unwrap();
    let busy = tenants(&setup, &manager, 1).await;
    keep_busy(&manager, &busy[0]);
    pass(120.0).await;
    let mut longest = Duration::ZERO;
    for _ in 0..30 {
        let (key, start) = (setup.sipher.api_key(Tier::Pro), Instant::now());
        ready(&manager, &key, 0).await.unwrap();
        longest = longest.max(start.elapsed());
        pass(7.3).await;
    }
    assert!(longest <= 3 * SECOND, "{longest:?}");
    assert_bounded(&setup, manager.call_budget());
}

#[tokio::test(start_paused = true)]
async fn made_up_keys_take_no_more_than_half_of_what_accepted_ones_want() {
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(10_000).build().unwrap();
    let busy = tenants(&setup, &manager, 1).await;
    keep_busy(&manager, &busy[0]);
    flood(&manager);
    pass(60.0).await;
    let made = manager.stats().created;
    pass(120.0).await;
    let made = manager.stats().created - made;
    assert!((55..=65).contains(&made), "{made} of 120 calls");
    assert_bounded(&setup, manager.call_budget());
}

#[tokio::test(start_paused = true)]
async fn an_accepted_tenant_is_served_at_once_beside_made_up_keys() {
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(10_000).build().unwrap();
    let keys = tenants(&setup, &manager, 20).await;
    flood(&manager);
    pass(60.0).await;
    for key in &keys {
        let start = Instant::now();
        ready(&manager, key, 1).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
        pass(3.0).await;
    }
    assert_bounded(&setup, manager.call_budget());
}

#[tokio::test(start_paused = true)]
async fn new_tenants_do_not_wait_for_deletes_that_have_piled_up() {
    let setup = Setup::new();
    let manager = setup.builder().max_sessions(10_000).build().unwrap();
    tenants(&setup, &manager, 600).await;
    for generation in 1..=600 {
        manager.invalidate(generation);
    }
    assert_eq!(manager.stats().pending_deletes, 600);
    let (mut refused, mut longest) = (0, Duration::ZERO);
    for _ in 0..300 {
        let (key, start) = (setup.sipher.api_key(Tier::Pro), Instant::now());
        refused += usize::from(ready(&manager, &key, 0).await.is_err());
        longest = longest.max(start.elapsed());
        pass(2.0).await;
    }
    assert_eq!(refused, 0);
    assert!(longest <= 2 * SECOND, "{longest:?}");
    let pending = manager.stats().pending_deletes;
    assert!(pending < 350, "they go on meanwhile: {pending}");
    assert_bounded(&setup, manager.call_budget());
}
