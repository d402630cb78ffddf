//! Retries with `reqwest-retry` that use this crate's errors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use reqwest_retry::{
    RetryTransientMiddleware, Retryable, RetryableStrategy, policies::ExponentialBackoff,
};
use sipher_session::{
    Error, ErrorKind, SessionLayer, SessionManager,
    testing::{Fault, Target, What},
    with_reqwest::{self, RetryAfterPolicy, SessionRetryStrategy},
};
use tokio::time::Instant;

use crate::{
    assert_is_quota,
    support::{SECOND, Setup},
    without_quota,
};

/// Takes the place of the network: answers with these statuses, and repeats the last one forever.
struct Answers(Vec<u16>, Arc<AtomicUsize>);

#[async_trait::async_trait]
impl Middleware for Answers {
    async fn handle(
        &self,
        _: Request,
        _: &mut Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let count = self.1.fetch_add(1, Ordering::SeqCst);
        let status = self.0[count.min(self.0.len() - 1)];
        let answer = http::Response::builder().status(status);
        Ok(answer.body("").unwrap().into())
    }
}

fn policy() -> ExponentialBackoff {
    let least_and_most = (Duration::from_millis(1), Duration::from_millis(2));
    let builder = ExponentialBackoff::builder();
    let builder = builder.retry_bounds(least_and_most.0, least_and_most.1);
    builder.build_with_max_retries(3)
}

fn http(
    retry: impl Middleware,
    manager: &SessionManager,
    statuses: &[u16],
) -> (ClientWithMiddleware, Arc<AtomicUsize>) {
    let sent = Arc::default();
    let http = ClientBuilder::new(reqwest::Client::new())
        .with(retry)
        .with(SessionLayer::new(manager.clone()))
        .with(Answers(statuses.to_vec(), Arc::clone(&sent)))
        .build();
    (http, sent)
}

async fn send(http: &ClientWithMiddleware) -> reqwest_middleware::Result<Response> {
    let url = "https://sipher-api.sip-protocol.org/v1/stealth/generate";
    let request = http.post(url).header("content-type", "application/json");
    request.body("{}").send().await
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_retried_after_what_it_says() {
    let setup = Setup::apart();
    setup
        .sipher
        .fault(Fault::new(What::Status(429)).on(Target::Create));
    let (http, sent) = http(with_reqwest::retry(policy()), &setup.manager(), &[200]);
    let start = Instant::now();
    assert_eq!(send(&http).await.unwrap().status(), 200);
    let waited = start.elapsed();
    assert!((60 * SECOND..62 * SECOND).contains(&waited), "{waited:?}");
    assert_eq!(sent.load(Ordering::SeqCst), 1);
    assert_eq!(setup.creates(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_it_such_a_failure_is_not_retried() {
    let setup = Setup::apart();
    setup
        .sipher
        .fault(Fault::new(What::Status(429)).on(Target::Create));
    let plain = RetryTransientMiddleware::new_with_policy(policy());
    let (http, _) = http(plain, &setup.manager(), &[200]);
    let error = send(&http).await.unwrap_err();
    assert_eq!(Error::find(&error).unwrap().kind(), ErrorKind::RateLimited);
}

#[tokio::test(start_paused = true)]
async fn what_no_retry_mends_fails_at_once_and_so_does_what_takes_too_long() {
    let setup = Setup::apart();
    setup
        .sipher
        .fault(Fault::new(What::Status(401)).on(Target::Create).always());
    let (http, _) = http(with_reqwest::retry(policy()), &setup.manager(), &[200]);
    let start = Instant::now();
    let error = send(&http).await.unwrap_err();
    assert_eq!(Error::find(&error).unwrap().kind(), ErrorKind::Credentials);
    assert_eq!((setup.creates(), start.elapsed()), (1, Duration::ZERO));

    let setup = without_quota();
    let (http, _) = self::http(with_reqwest::retry(policy()), &setup.manager(), &[200]);
    assert_is_quota(Error::find(&send(&http).await.unwrap_err()));
    assert_eq!(start.elapsed(), Duration::ZERO);
    // A batch job may wait until midnight.
    let strategy = SessionRetryStrategy::new().longest_wait(24 * 3_600 * SECOND);
    let policy = RetryAfterPolicy::new(policy());
    let patient = RetryTransientMiddleware::new_with_policy_and_strategy(policy, strategy);
    let (http, _) = self::http(patient, &setup.manager(), &[200]);
    assert_eq!(send(&http).await.unwrap().status(), 200);
    assert!(start.elapsed() > 5 * 3_600 * SECOND);
}

/// The policy counts the tries, and the caller gets the last failure unchanged.
#[tokio::test(start_paused = true)]
async fn retries_end_with_the_policy() {
    let setup = Setup::apart();
    setup
        .sipher
        .fault(Fault::new(What::Status(429)).on(Target::Create).always());
    let (http, sent) = http(with_reqwest::retry(policy()), &setup.manager(), &[200]);
    let error = send(&http).await.unwrap_err();
    let error = Error::find(&error).unwrap();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert!(error.retry_after().is_some());
    assert_eq!((setup.creates(), sent.load(Ordering::SeqCst)), (4, 0));
}

struct Never;

impl RetryableStrategy for Never {
    fn handle(&self, _: &reqwest_middleware::Result<Response>) -> Option<Retryable> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn answers_are_left_to_the_other_strategy_and_wait_for_no_earlier_failure() {
    let setup = Setup::apart();
    let manager = setup.manager();
    let (http, sent) = http(with_reqwest::retry(policy()), &manager, &[500, 500, 200]);
    let start = Instant::now();
    assert_eq!(send(&http).await.unwrap().status(), 200);
    assert_eq!(sent.load(Ordering::SeqCst), 3);
    assert!(start.elapsed() < SECOND);

    let strategy = SessionRetryStrategy::over(Never);
    let policy = RetryAfterPolicy::new(policy());
    let never = RetryTransientMiddleware::new_with_policy_and_strategy(policy, strategy);
    let (http, sent) = self::http(never, &manager, &[500, 200]);
    assert_eq!(send(&http).await.unwrap().status(), 500);
    assert_eq!(sent.load(Ordering::SeqCst), 1);
}
