//! How long a call may take.

use std::{pin::pin, time::Duration};

use tokio::{
    task::yield_now,
    time::{error::Elapsed, timeout},
};

/// So often an answer is looked for once more when its time is over.
const TURNS: usize = 4;

/// The outcome of an exchange, if it is there when the time is over.
///
/// A runtime that stood still finds the time over before it has looked at its sockets: the answer may be there all the same, and
/// is known once the tasks that read it have had their turns.
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
