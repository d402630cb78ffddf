//! The quiet end of a life, when everything must work again.

use std::time::Duration;

use sipher_session::{Events, testing::Solana};
use tokio::{task::JoinSet, time::sleep};

use super::{Handle, World};
use crate::{
    hard,
    script::{Call, FREE, Script, Weather},
    trace::Entry,
};

impl World {
    /// Ends all trouble. After a while, a request must succeed.
    pub(super) async fn calm_down(
        &self,
        script: &Script,
        handle: &Handle,
        events: &mut Events,
        callers: &mut JoinSet<()>,
    ) {
        while callers.join_next().await.is_some() {}
        let sipher = &self.wire.sipher;
        sipher.clear_faults();
        sipher.set_rate_limit(None);
        sipher.set_capacity(10_000);
        sipher.set_latency(Duration::ZERO);
        sipher.set_solana(Solana::Up);
        sipher.set_edge_clock(None);
        self.trace().add(Entry::Weather("calm".to_owned()));
        let burnt = script.has(|weather| matches!(weather, Weather::Burn(_)));
        // If the quota of a key is used up, the key has to wait for the next day, by the server's clock.
        let minutes = |n: u64| Duration::from_secs(60 * n);
        sleep(if burnt {
            minutes(25 * 60) + script.server_back()
        } else {
            minutes(20)
        })
        .await;
        let key = self.desk().key;
        let good = if key < FREE { None } else { Some(1) };
        let call = Call {
            key: good,
            gives_up_after: Duration::from_secs(90),
            ..Call::default()
        };
        // One session may still exist. Requests must also get others, each when the budget allows a call.
        let sets = (0..5).filter(|_| hard::is_hard(script.seed)).map(Some);
        let sets = [None].into_iter().chain(sets);
        // The budget may allow only one call in a span longer than a create may take. Then a request may learn that its
        // session is lost, and fail.
        let settings = &script.settings;
        let refill = Duration::from_secs(60) / settings.per_minute;
        let patience = settings.max_wait.min(settings.create_timeout);
        let is_scarce = settings.burst < 2 && patience < refill + Duration::from_secs(1);
        let tries = if is_scarce { 2 } else { 1 };
        for (set, left) in sets.flat_map(|set| (0..tries).rev().map(move |left| (set, left))) {
            let n = *self.numbers();
            if left == 0 {
                self.trace().add(Entry::Calm { n });
            }
            let call = Call {
                set,
                ..call.clone()
            };
            self.spawn(handle, &call, callers);
            while callers.join_next().await.is_some() {}
            if hard::is_hard(script.seed) {
                sleep(minutes(1)).await;
            }
        }
        self.told(events);
    }
}
