//! The trouble of the network, the server and the clocks.

use std::time::Duration;

use sipher_session::testing::{Fault, Solana, Target, What};

use crate::{script::Script, trace::Entry, world::World};

/// One kind of trouble of the network, the server or the clocks.
#[derive(Clone, Debug)]
pub(crate) enum Weather {
    Fault {
        what: What,
        on: Target,
        times: usize,
    },
    Clear,
    Restart,
    RestartOne(usize),
    Solana(Solana),
    EdgeClock(Option<i64>),
    Evict(usize),
    Capacity(usize),
    Latency(Duration),
    RateLimit(Option<u32>),
    Burn(usize),
    Suspend(Duration),
    ServerForward(Duration),
    ServerBack(Duration),
    WallForward(Duration),
    WallBack(Duration),
}

impl Script {
    /// Returns by how much the server's clock is set back in total.
    pub(crate) fn server_back(&self) -> Duration {
        let back = self.weather.iter().map(|(_, weather)| match weather {
            Weather::ServerBack(by) => *by,
            _ => Duration::ZERO,
        });
        back.sum()
    }
}

impl World {
    pub(crate) fn befall(&self, weather: &Weather) -> String {
        self.trace().add(Entry::Weather(format!("{weather:?}")));
        let sipher = &self.wire.sipher;
        match weather {
            Weather::Fault { what, on, times } => {
                sipher.fault(Fault::new(what.clone()).on(*on).times(*times));
                let name = format!("{what:?}");
                let end = name.find([' ', '{', '(']).unwrap_or(name.len());
                return name[..end].to_owned();
            }
            Weather::Clear => sipher.clear_faults(),
            Weather::Restart => sipher.restart(),
            Weather::RestartOne(which) => sipher.restart_replica(*which),
            Weather::Solana(solana) => sipher.set_solana(*solana),
            Weather::EdgeClock(ahead) => sipher.set_edge_clock(*ahead),
            Weather::Evict(which) => {
                let ids = self.known();
                if !ids.is_empty() {
                    sipher.evict(&ids[which % ids.len()]);
                }
            }
            Weather::Capacity(sessions) => sipher.set_capacity(*sessions),
            Weather::Latency(latency) => sipher.set_latency(*latency),
            Weather::RateLimit(limit) => sipher.set_rate_limit(*limit),
            Weather::Burn(key) => sipher.burn(&self.wire.keys[*key], 2_000),
            Weather::Suspend(asleep) => {
                self.clock.suspend(*asleep);
                sipher.clock().suspend(*asleep);
            }
            Weather::ServerForward(by) => sipher.clock().suspend(*by),
            Weather::ServerBack(by) => sipher.clock().set_back(*by),
            Weather::WallForward(by) => self.clock.suspend(*by),
            Weather::WallBack(by) => self.clock.set_back(*by),
        }
        let name = format!("{weather:?}");
        name.split('(').next().unwrap_or_default().to_owned()
    }

    /// Returns the ids of the sessions that were created and are alive.
    pub(crate) fn known(&self) -> Vec<String> {
        let ids: Vec<_> = self.trace().with(|lines| {
            let made = lines.iter().filter_map(|line| match &line.what {
                Entry::Whole {
                    status: 201,
                    record: Some(record),
                    ..
                } => Some(record.id.clone()),
                _ => None,
            });
            made.collect()
        });
        let alive = ids.into_iter().filter(|id| self.wire.sipher.is_live(id));
        alive.collect()
    }
}
