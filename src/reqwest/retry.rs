//! A `reqwest-retry` middleware that understands this crate's errors.

use std::{
    cell::Cell,
    time::{Duration, SystemTime},
};

use ::reqwest::Response;
use reqwest_middleware::Error as MiddlewareError;
use reqwest_retry::{
    DefaultRetryableStrategy, RetryDecision, RetryPolicy, RetryTransientMiddleware, Retryable,
    RetryableStrategy,
};

use crate::{clock::system_time, error::Error};

/// The longest wait before a retry.
const LONGEST_WAIT: Duration = Duration::from_secs(2 * 60);

thread_local! {
    /// The `retry_after` of the last failure, until the policy takes it.
    ///
    /// A strategy cannot say how long to wait, and a policy does not see the failure. `RetryTransientMiddleware` asks
    /// the strategy and then the policy in the same poll, so on the same thread.
    static RETRY_AFTER: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Makes a middleware that retries failures that may succeed later. For errors of this crate, [`Error::is_transient`]
/// decides. For all others, `reqwest-retry`'s default does. The wait is the policy's, and at least
/// [`Error::retry_after`].
///
/// Put it outside of the [`SessionLayer`](crate::SessionLayer), so that each try gets a session of its own. Without
/// this middleware, `reqwest-retry` retries no error of a middleware, and so none of this crate.
///
/// ```no_run
/// # fn run(client: reqwest::Client, sessions: sipher_session::SessionManager) {
/// use reqwest_retry::policies::ExponentialBackoff;
/// use sipher_session::{SessionLayer, with_reqwest};
///
/// let policy = ExponentialBackoff::builder().build_with_max_retries(3);
/// let http = reqwest_middleware::ClientBuilder::new(client)
///     .with(with_reqwest::retry(policy))
///     .with(SessionLayer::new(sessions))
///     .build();
/// # }
/// ```
pub fn retry<P>(policy: P) -> RetryTransientMiddleware<RetryAfterPolicy<P>, SessionRetryStrategy>
where
    P: RetryPolicy + Send + Sync + 'static,
{
    let (policy, strategy) = (RetryAfterPolicy::new(policy), SessionRetryStrategy::new());
    RetryTransientMiddleware::new_with_policy_and_strategy(policy, strategy)
}

/// Decides which failures are retried: for errors of this crate by [`Error::is_transient`], for all others by another
/// strategy.
///
/// The strategy needs a [`RetryAfterPolicy`] beside it, which decides how long to wait. [`retry`] combines the two.
#[derive(Clone, Copy, Debug)]
pub struct SessionRetryStrategy<S = ByDefault> {
    others: S,
    longest_wait: Duration,
}

/// What `reqwest-retry` does by default.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ByDefault;

impl RetryableStrategy for ByDefault {
    fn handle(&self, outcome: &Result<Response, MiddlewareError>) -> Option<Retryable> {
        DefaultRetryableStrategy.handle(outcome)
    }
}

impl SessionRetryStrategy {
    /// Leaves all other failures to the default of `reqwest-retry`.
    pub fn new() -> Self {
        Self::over(ByDefault)
    }
}

impl Default for SessionRetryStrategy {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> SessionRetryStrategy<S> {
    /// Leaves all other failures to `others`.
    pub fn over(others: S) -> Self {
        Self {
            others,
            longest_wait: LONGEST_WAIT,
        }
    }

    /// Sets the longest wait. A failure whose `retry_after` is longer, such as a used-up quota, is not retried.
    /// Defaults to 2 min.
    ///
    /// Make it shorter if callers have a timeout of their own, and longer in a batch job that has time.
    #[must_use]
    pub fn longest_wait(mut self, longest: Duration) -> Self {
        self.longest_wait = longest;
        self
    }

    fn judge(&self, error: &Error) -> Retryable {
        let is_near = error
            .retry_after()
            .is_none_or(|after| after <= self.longest_wait);
        if error.is_transient() && is_near {
            RETRY_AFTER.set(error.retry_after());
            Retryable::Transient
        } else {
            Retryable::Fatal
        }
    }
}

impl<S: RetryableStrategy> RetryableStrategy for SessionRetryStrategy<S> {
    fn handle(&self, outcome: &Result<Response, MiddlewareError>) -> Option<Retryable> {
        RETRY_AFTER.set(None);
        match outcome.as_ref().err().and_then(Error::find) {
            Some(error) => Some(self.judge(error)),
            None => self.others.handle(outcome),
        }
    }
}

/// Decides when to retry: when another policy says, and not before [`Error::retry_after`].
///
/// The policy needs a [`SessionRetryStrategy`] beside it, which sees the failure. [`retry`] combines the two.
#[derive(Clone, Copy, Debug)]
pub struct RetryAfterPolicy<P>(P);

impl<P> RetryAfterPolicy<P> {
    /// Uses `policy` for the number of retries and for the shortest waits.
    pub fn new(policy: P) -> Self {
        Self(policy)
    }
}

impl<P: RetryPolicy> RetryPolicy for RetryAfterPolicy<P> {
    fn should_retry(&self, start: SystemTime, past_retries: u32) -> RetryDecision {
        let after = RETRY_AFTER.take();
        match (self.0.should_retry(start, past_retries), after) {
            (RetryDecision::Retry { execute_after }, Some(after)) => RetryDecision::Retry {
                execute_after: execute_after.max(system_time() + after),
            },
            (decision, _) => decision,
        }
    }
}
