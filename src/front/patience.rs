//! Limits how long one request waits for its session.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use super::{manager::SessionManager, message::Outgoing};
use crate::{
    error::{Error, ErrorKind},
    model::{
        failure,
        failure::FLOOR,
        partition::{Partition, PartitionId},
        settings::{OnNoSession, Settings},
    },
    runtime::runtime,
};

/// The limit that a request itself sets for its wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    wait: Duration,
    /// When the wait ends, in monotonic time.
    until: Duration,
}

impl Limit {
    /// Returns the request's own limit. Returns `None` if the manager's `max_wait` applies. `now` is monotonic time.
    pub(crate) fn of<R: Outgoing>(request: &R, settings: &Settings, now: Duration) -> Option<Self> {
        let timeout = request.own_timeout();
        let timeout = timeout.map(|timeout| for_waiting(timeout, settings.on_no_session));
        let wait = shortest(request.own_max_wait(), timeout, settings.max_wait)?;
        let until = now.saturating_add(wait);
        Some(Self { wait, until })
    }

    fn left(&self, now: Duration) -> Duration {
        self.until.saturating_sub(now)
    }

    /// Returns after how long the request looks for a session again, when a create has failed. Returns `None` if the
    /// request fails with the same error.
    ///
    /// A create waits at most `patience` for the call budget, or for a server that wants fewer calls (429). If the
    /// create failed for one of these two reasons, a request that may wait longer tries again. No other request does.
    fn comes_back_in(&self, error: &Error, patience: Duration, now: Duration) -> Option<Duration> {
        let again = error.retry_after()?.max(FLOOR);
        let is_in_time = self.wait > patience && again < self.left(now);
        (is_in_time && failure::concerns_all(error)).then_some(again)
    }
}

impl SessionManager {
    /// Waits until the request may look for a session again. Returns `false` if its failure is final.
    pub(crate) async fn comes_back(
        &self,
        id: PartitionId,
        limit: Option<Limit>,
        error: &Error,
    ) -> bool {
        let (core, now) = (self.core(), self.core().uptime());
        let again = limit.and_then(|limit| limit.comes_back_in(error, core.patience(), now));
        let Some(again) = again else { return false };
        tokio::select! {
            biased;
            // The next look for a session returns the shutdown error.
            _ = core.closed() => {}
            () = core.arrival(id) => {}
            () = sleep(again) => {}
        }
        true
    }

    /// Limits a future to the time that the request has left, or else to `max_wait`. `partition` is what the request
    /// waits for, if that is known. The error of a timeout then says why there is no session.
    pub(crate) async fn in_time<T>(
        &self,
        limit: Option<Limit>,
        partition: Option<Arc<Partition>>,
        found: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        // Check for a runtime before creating the timer, which would panic without one.
        runtime()?;
        let max_wait = self.core().settings.max_wait;
        let wait = limit.map_or(max_wait, |limit| limit.left(self.core().uptime()));
        let in_time = timeout(wait, found).await;
        in_time.unwrap_or_else(|_| {
            let (core, now) = (self.core(), self.core().now());
            let why = partition.and_then(|it| core.gate().why_not(&it, wait, now));
            Err(too_late(limit, max_wait, why))
        })
    }
}

#[cold]
fn too_late(limit: Option<Limit>, max_wait: Duration, why: Option<Error>) -> Error {
    let text = match limit {
        Some(Limit { wait, .. }) => format!("no session within the request's own {wait:?}"),
        None => format!("no session within the `max_wait` of {max_wait:?}"),
    };
    let error = Error::new(ErrorKind::Timeout, text);
    match why {
        Some(why) => {
            let again = why.retry_after();
            error.with_source(why).with_retry_after(again)
        }
        None => error,
    }
}

/// Returns how much of the request's timeout may be spent on waiting. With `SendWithout` the request may be sent in the
/// end, so it keeps half of the time for that.
fn for_waiting(timeout: Duration, on_no_session: OnNoSession) -> Duration {
    match on_no_session {
        OnNoSession::Fail => timeout,
        OnNoSession::SendWithout => timeout / 2,
    }
}

fn shortest(own: Option<Duration>, timeout: Option<Duration>, max: Duration) -> Option<Duration> {
    match (own, timeout) {
        (Some(own), Some(timeout)) => Some(own.min(timeout)),
        (Some(own), None) => Some(own),
        (None, timeout) => timeout.filter(|timeout| *timeout < max),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_waits_by_its_own_word_and_never_beyond_its_timeout() {
        let max = Duration::from_secs(30);
        for (own, timeout, expected) in [
            (None, None, None),
            (None, Some(5), Some(5)),
            (None, Some(60), None),
            (Some(2), None, Some(2)),
            (Some(60), None, Some(60)),
            (Some(60), Some(5), Some(5)),
            (Some(2), Some(5), Some(2)),
            (Some(0), Some(5), Some(0)),
        ] {
            let [own, timeout, expected] =
                [own, timeout, expected].map(|it: Option<u64>| it.map(Duration::from_secs));
            assert_eq!(shortest(own, timeout, max), expected, "{own:?} {timeout:?}");
        }
    }
}
