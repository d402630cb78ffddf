//! Retries in a tower stack. The retry policy decides by `is_transient`, and waits for `retry_after`.
//!
//! Run it with `cargo run --example tower_retry`. The fake Sipher runs in the same process, in virtual time: an outage
//! of a minute ends at once.

use std::time::Duration;

use http::{Request, Response};
use http_body_util::Full;
use sipher_session::{
    BoxError, Chain, Error, SessionDefaults, SessionLayer, SessionManager,
    api::{Bytes, Transport},
    clock::Clock,
    testing::{FakeSipher, Fault, Operation, Target, TestClock, Tier, What},
};
use tokio::time::{Sleep, sleep};
use tower::{ServiceBuilder, ServiceExt, retry::Policy};

/// The wait if an error does not say how long to wait.
const LEAST_WAIT: Duration = Duration::from_millis(200);
/// A quota may reset only at midnight. A caller should not wait that long: it gets the error instead.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// A retry policy with this many tries left.
#[derive(Clone)]
struct WhileTransient(u32);

impl WhileTransient {
    fn wait(error: &BoxError) -> Option<Duration> {
        // Errors of the inner service, and timeouts of outer layers, are for other policies.
        let error = Error::find(error)?;
        let wait = error.retry_after().unwrap_or_default().max(LEAST_WAIT);
        (error.is_transient() && wait <= LONGEST_WAIT).then_some(wait)
    }
}

impl<R> Policy<Request<Full<Bytes>>, R, BoxError> for WhileTransient {
    type Future = Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Full<Bytes>>,
        outcome: &mut Result<R, BoxError>,
    ) -> Option<Sleep> {
        let wait = Self::wait(outcome.as_ref().err()?)?;
        self.0 = self.0.checked_sub(1)?;
        println!("no session; again in {wait:?}");
        Some(sleep(wait))
    }

    fn clone_request(&mut self, request: &Request<Full<Bytes>>) -> Option<Request<Full<Bytes>>> {
        Some(request.clone())
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    let (sipher, clock) = (FakeSipher::new(), TestClock::new());
    let sessions = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .transport(Transport::new(sipher.clone()))
        .clock(clock.clone())
        .build()?;
    let http = ServiceBuilder::new()
        .retry(WhileTransient(5)) // outside of the session layer: each try gets a session of its own
        .layer(SessionLayer::new(sessions.clone()))
        .service(sipher.clone());
    let generate = || {
        Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
            .header("content-type", "application/json")
            .body(Full::<Bytes>::from("{}"))
    };

    // The server asks for fewer calls, and does not say for how long.
    sipher.fault(Fault::new(What::Status(429)).on(Target::Create));
    let start = clock.now();
    let answer: Response<_> = http.clone().oneshot(generate()?).await?;
    let waited = clock.now().since(start);
    println!("{} after {waited:?}", answer.status());
    assert_eq!(answer.status(), 200);
    assert!(waited >= Duration::from_secs(60));

    // If no retry can help, the first try fails, with a status that can be returned to the caller.
    sessions.invalidate(sessions.session().await?.generation());
    sipher.fault(Fault::new(What::Status(401)).on(Target::Create));
    let creates = sipher.count(Operation::Create);
    let error = http.oneshot(generate()?).await.err().ok_or("a refusal")?;
    let error = Error::find(&error).ok_or("one of the layer")?;
    let status = error.kind().suggested_status();
    println!("{status}: {error}");
    assert_eq!(status, 401);
    assert_eq!(sipher.count(Operation::Create), creates + 1);

    sipher.assert_every_call_had_a_session();
    sessions.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
