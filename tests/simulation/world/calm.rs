//! The quiet at the end of a life, when everything must go well again.

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
    /// All trouble ends; a while later a request must succeed.
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
        // A key whose day is used up has to wait for the next, by the server's clock.
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
        // One session may be there still. Others can be had too, each when there is budget for it.
        let sets = (0..5).filter(|_| hard::is_hard(script.seed)).map(Some);
        let sets = [None].into_iter().chain(sets);
        // With a budget for one call in more than a create may take, a request may find out that its session is lost, and no more.
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
