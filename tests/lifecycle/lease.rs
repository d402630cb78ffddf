//! What clients that cannot be wrapped report to a lease about their request.

use std::{error::Error, future, io, time::Duration};

use http::{HeaderMap, StatusCode};
use sipher_session::{Event, Events};

use crate::support::{SECOND, Setup, pass};

fn is_suspected(events: &mut Events) -> bool {
    let is_suspected = |event| matches!(event, Event::Suspected { .. });
    std::iter::from_fn(|| events.try_recv()).any(is_suspected)
}

#[tokio::test(start_paused = true)]
async fn a_status_that_tells_of_trouble_makes_the_sessions_suspect() {
    let setup = Setup::new();
    let manager = setup.manager();
    let mut events = manager.events();
    for (status, is_sign) in [(200, false), (500, false), (503, true)] {
        let lease = manager.apply(&mut HeaderMap::new()).await.unwrap().unwrap();
        lease.complete_with(StatusCode::from_u16(status).unwrap());
        assert_eq!(is_suspected(&mut events), is_sign, "{status}");
        assert_eq!(manager.stats().in_flight, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_lingers_and_a_broken_connection_makes_the_sessions_suspect() {
    let too_slow = tokio::time::timeout(Duration::ZERO, future::pending::<()>()).await;
    let failures: [(Box<dyn Error>, bool); 4] = [
        (too_slow.unwrap_err().into(), false),
        (io::Error::from(io::ErrorKind::TimedOut).into(), true),
        (io::Error::from(io::ErrorKind::ConnectionReset).into(), true),
        ("what nobody knows".into(), true),
    ];
    for (failure, is_sign) in failures {
        let setup = Setup::new();
        let manager = setup.builder().linger(7 * SECOND).build().unwrap();
        let mut events = manager.events();
        let lease = manager.apply(&mut HeaderMap::new()).await.unwrap().unwrap();
        lease.fail(&*failure);
        assert_eq!(is_suspected(&mut events), is_sign, "{failure}");
        assert!(manager.invalidate(1));
        pass(6.5).await;
        assert_eq!(setup.deletes(), 0);
        pass(1.0).await;
        assert_eq!(setup.deletes(), 1);
    }
}
