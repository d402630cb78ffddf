//! The agent: it works in tasks of some requests each, with pauses between them.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use sipher_session::{
    BoxError, SessionService,
    clock::Clock,
    testing::{FakeSipher, TestClock},
};
use tokio::time::sleep;
use tower::ServiceExt;

use super::{DAY, draw::Draw};

const MINUTE: f64 = 60.0;
const MORNING: f64 = 7.0;
const EVENING: f64 = 22.5;

pub struct Agent {
    http: SessionService<FakeSipher>,
    draw: Draw,
    clock: TestClock,
    midnight: Duration,
}

impl Agent {
    pub fn new(
        http: SessionService<FakeSipher>,
        draw: Draw,
        clock: TestClock,
        midnight: Duration,
    ) -> Self {
        Self {
            http,
            draw,
            clock,
            midnight,
        }
    }

    /// Works until midnight, and returns when requests failed.
    pub async fn work(mut self) -> Result<Vec<f64>, BoxError> {
        let mut failed = Vec::new();
        loop {
            let is_day = (MORNING..EVENING).contains(&(self.now() / 3_600.0));
            let (requests, pause) = if is_day { (60.0, 12.0) } else { (5.0, 100.0) };
            for _ in 0..self.draw.between(2.0, requests) as u32 {
                if self.now() >= DAY.as_secs_f64() {
                    return Ok(failed);
                }
                let at = self.now();
                if self.call().await.is_err() {
                    failed.push(at);
                }
                self.wait(2.0, 20.0).await;
            }
            self.wait(pause / 6.0 * MINUTE, pause * MINUTE).await;
        }
    }

    async fn call(&self) -> Result<(), BoxError> {
        let request = Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
            .header("content-type", "application/json")
            .body(Full::<Bytes>::from("{}"))?;
        self.http.clone().oneshot(request).await?;
        Ok(())
    }

    async fn wait(&mut self, least: f64, most: f64) {
        let left = (DAY.as_secs_f64() - self.now()).max(0.0);
        let seconds = self.draw.between(least, most).min(left);
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    fn now(&self) -> f64 {
        (self.clock.now().wall - self.midnight).as_secs_f64()
    }
}
