//! Requests without an answer in time are a hint: later requests go on while the server is asked.

use std::{error::Error as StdError, fmt};

use sipher_session::{
    BoxError, SessionLayer,
    testing::{Fault, Target, What},
};
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder, ServiceExt, timeout::TimeoutLayer};

use crate::support::{SECOND, Setup, generate, pass};

/// Hides the type of its cause, as `#[error(transparent)]` does.
#[derive(Debug)]
struct Transparent(BoxError);

impl fmt::Display for Transparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Transparent {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// Has a message of its own, and its cause as the source.
#[derive(Debug)]
struct Wrapped(BoxError);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call failed")
    }
}

impl StdError for Wrapped {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

/// Returns how long the next request waits after a request that failed in this way, and how many questions were asked.
async fn held_after(wrap: fn(BoxError) -> BoxError) -> (std::time::Duration, usize) {
    let setup = Setup::new();
    let sessions = setup.manager();
    setup.call(&sessions).await.unwrap();
    pass(15.0).await;
    let asked = setup.questions();
    let hangs = |target| Fault::new(What::Hang).on(target);
    setup.sipher.fault(hangs(Target::Calls));
    let inner = ServiceBuilder::new()
        .map_err(wrap)
        .layer(TimeoutLayer::new(SECOND))
        .service(setup.sipher.clone());
    let service = SessionLayer::new(sessions.clone()).layer(inner);
    service.oneshot(generate()).await.unwrap_err();
    setup.sipher.fault(hangs(Target::Health));
    let start = Instant::now();
    setup.call(&sessions).await.unwrap();
    let held = start.elapsed();
    pass(0.1).await;
    (held, setup.questions() - asked)
}

#[tokio::test(start_paused = true)]
async fn a_request_that_towers_timeout_ended_is_a_hint_however_it_is_wrapped() {
    let wraps: [fn(BoxError) -> BoxError; 4] = [
        |error| error,
        |error| Box::new(Transparent(error)),
        |error| Box::new(Wrapped(Box::new(Transparent(error)))),
        |error| error.to_string().into(),
    ];
    for (n, wrap) in wraps.into_iter().enumerate() {
        let (held, asked) = held_after(wrap).await;
        assert!(held.is_zero(), "{n}: {held:?}");
        assert_eq!(asked, 1, "{n}");
    }
    // A failure with another cause is a sign.
    let (held, _) = held_after(|_| "something went wrong".into()).await;
    assert!(!held.is_zero());
}

/// All these requests were in flight when the first connection broke.
#[tokio::test(start_paused = true)]
async fn connections_that_break_one_after_another_are_asked_about_ever_more_seldom() {
    let setup = Setup::new();
    let sessions = setup.manager();
    setup.call(&sessions).await.unwrap();
    pass(15.0).await;
    let asked = setup.questions();
    let calls: Vec<_> = (0..200)
        .map(|n| {
            let inner = tower::service_fn(move |_: crate::support::Call| async move {
                pass(f64::from(n) / 100.0).await;
                let reset = std::io::ErrorKind::ConnectionReset;
                Err::<http::Response<String>, BoxError>(Box::new(std::io::Error::from(reset)))
            });
            let service = SessionLayer::new(sessions.clone()).layer(inner);
            tokio::spawn(service.oneshot(generate()))
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap_err();
    }
    let asked = setup.questions() - asked;
    assert!((3..=5).contains(&asked), "{asked} in two seconds");
}
