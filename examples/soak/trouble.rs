//! Makes things go wrong with the server, one after the other.

use std::{io, time::Duration};

use fastrand::Rng;
use sipher_session::testing::{FakeSipher, Fault, Served, Target, What};
use tokio::time::sleep;

use crate::{judge::NOTICED_WITHIN, record::Record};

/// The shortest life that the manager accepts. Such a session is renewed after about 18 s.
const SHORT_LIFE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy)]
enum Kind {
    /// The server is killed, and comes back without its sessions.
    Restart,
    /// The server forgets its sessions but keeps its connections, so no call fails.
    Forget,
    /// The server is killed, and comes back with its sessions.
    Outage,
    Gateway,
    Pace,
    Slow,
    Silence,
    LostRequests,
    LostAnswers,
    HalfBodies,
    Errors,
}

const ROUND: [Kind; 10] = [
    Kind::Forget,
    Kind::Outage,
    Kind::Gateway,
    Kind::Pace,
    Kind::Slow,
    Kind::Silence,
    Kind::LostRequests,
    Kind::LostAnswers,
    Kind::HalfBodies,
    Kind::Errors,
];

pub(crate) struct Trouble<'a> {
    server: &'a mut Served,
    sipher: &'a FakeSipher,
    record: &'a Record,
    rng: Rng,
}

impl<'a> Trouble<'a> {
    pub(crate) fn new(
        server: &'a mut Served,
        sipher: &'a FakeSipher,
        record: &'a Record,
        rng: Rng,
    ) -> Self {
        Self {
            server,
            sipher,
            record,
            rng,
        }
    }

    /// Makes trouble until the time `until`. Leaves a server without faults.
    pub(crate) async fn make(&mut self, until: Duration) -> io::Result<()> {
        let mut round = Vec::new();
        loop {
            let pause = self.millis(3_000..6_000);
            if self.record.now() + pause >= until {
                break;
            }
            sleep(pause).await;
            if round.is_empty() {
                // Elements are taken from the end, so every round begins with a restart.
                round.extend(ROUND);
                self.rng.shuffle(&mut round);
                round.push(Kind::Restart);
            }
            if let Some(kind) = round.pop() {
                self.happen(kind).await?;
            }
        }
        sleep(until.saturating_sub(self.record.now())).await;
        self.sipher.clear_faults();
        Ok(())
    }

    async fn happen(&mut self, kind: Kind) -> io::Result<()> {
        let few = self.rng.usize(1..5);
        let moment = self.millis(100..900);
        let (what, target) = match kind {
            Kind::Restart => return self.kill(true).await,
            Kind::Outage => return self.kill(false).await,
            Kind::Forget => {
                self.forget();
                // No call fails because of this, so wait until a check has found it.
                sleep(NOTICED_WITHIN + Duration::from_secs(2)).await;
                return Ok(());
            }
            Kind::Gateway => (What::Status(503), Target::Any),
            Kind::Errors => (What::Status(500), Target::Any),
            Kind::Pace => {
                let retry_after = Some(self.rng.u64(1..3));
                let in_body = self.rng.bool();
                let what = What::RateLimited {
                    retry_after,
                    in_body,
                };
                self.sipher
                    .fault(Fault::new(what.clone()).on(Target::SessionCalls));
                (what, Target::Others)
            }
            // The call is handled before the pause, so that the server's log has the right time.
            Kind::Slow => (What::DelayAnswer(moment), Target::Any),
            Kind::Silence => (What::Hang, Target::Others),
            Kind::LostRequests => (What::LoseRequest, Target::Any),
            Kind::LostAnswers => (What::LoseAnswer, Target::Any),
            Kind::HalfBodies => (What::HalfBody, Target::Any),
        };
        self.sipher.fault(Fault::new(what).on(target).times(few));
        Ok(())
    }

    async fn kill(&mut self, forget: bool) -> io::Result<()> {
        // Delay a few answers. Their callers are still waiting when the server is killed.
        let answer = What::DelayAnswer(Duration::from_secs(3));
        let met = self.rng.usize(1..4);
        self.sipher
            .fault(Fault::new(answer).on(Target::Others).times(met));
        sleep(Duration::from_millis(500)).await;

        self.server.close().await?;
        // No call is in flight, so the log is final.
        self.record.read_log();
        self.record.seen().kills += 1;
        if forget {
            self.forget();
        }
        if self.rng.bool() {
            let away = self.millis(100..1_500);
            sleep(away).await;
        }
        self.server.reopen()
    }

    fn forget(&self) {
        self.record.forget();
        // One short session for each customer. It is renewed soon.
        let short = What::ShortLife(SHORT_LIFE);
        self.sipher.fault(Fault::new(short).times(4));
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.rng.u64(range))
    }
}
