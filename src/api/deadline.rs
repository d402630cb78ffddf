//! The deadline of a call.

use std::{pin::pin, time::Duration};

use tokio::{
    task::yield_now,
    time::{error::Elapsed, timeout},
};

/// How many more times the exchange is polled after the deadline.
const TURNS: usize = 4;

/// Returns the outcome of an exchange, if the outcome has arrived by the deadline.
///
/// Example: the runtime stalls beyond the deadline, and the answer arrives meanwhile. When the runtime goes on, the
/// timer fires before the sockets are read. So the exchange is polled a few more times, after the tasks that read the
/// answer had their turn.
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
