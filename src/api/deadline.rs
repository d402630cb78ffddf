//! The deadline of a call.

use std::{pin::pin, time::Duration};

use tokio::{
    task::yield_now,
    time::{error::Elapsed, timeout},
};

/// How many more times an answer is looked for after the deadline.
const TURNS: usize = 4;

/// Returns the outcome of an exchange, if the outcome has arrived by the deadline.
///
/// A runtime that stalled finds the deadline over before it has polled its sockets. The answer may have arrived all the
/// same. It is found once the tasks that read it have been polled.
pub(super) async fn in_time<T>(
    time: Duration,
    exchange: impl Future<Output = T>,
) -> Result<T, Elapsed> {
    let mut exchange = pin!(exchange);
    let mut outcome = timeout(time, exchange.as_mut()).await;
    for _ in 0..TURNS {
        if outcome.is_ok() {
            break;
        }
        yield_now().await;
        outcome = timeout(Duration::ZERO, exchange.as_mut()).await;
    }
    outcome
}
