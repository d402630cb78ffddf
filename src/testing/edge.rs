//! What stands between a caller and the server: other addresses, another `Date`.

use std::{net::IpAddr, time::Duration};

use super::{
    FakeSipher,
    caller::{Caller, Turn},
};
use crate::clock::{Clock, Reading};

/// Who writes `Date`.
#[derive(Default)]
pub(super) struct Edge {
    /// What an edge's clock said when it came, and when that was on the clock that never goes back.
    clock: Option<(Duration, Duration)>,
}

impl Edge {
    fn set(&mut self, offset: Option<i64>, now: Reading) {
        let shift = |offset: i64| {
            let by = Duration::from_secs(offset.unsigned_abs());
            let wall = if offset < 0 {
                now.wall.saturating_sub(by)
            } else {
                now.wall + by
            };
            (wall, now.monotonic)
        };
        self.clock = offset.map(shift);
    }

    /// What `Date` says, since 1970.
    pub(super) fn date(&self, now: Reading) -> Duration {
        match self.clock {
            Some((wall, since)) => wall + now.monotonic.saturating_sub(since),
            None => now.wall,
        }
    }
}

impl FakeSipher {
    /// Returns a handle on the same server whose calls come from another address, as from an edge of a CDN.
    ///
    /// The server keeps a rate-limit window for each address. [`new`](Self::new)'s handle calls from 127.0.0.1.
    ///
    /// ```
    /// use sipher_session::testing::FakeSipher;
    ///
    /// let sipher = FakeSipher::new();
    /// let elsewhere = sipher.seen_from([203, 0, 113, 7]);
    /// ```
    #[must_use]
    pub fn seen_from(&self, address: impl Into<IpAddr>) -> Self {
        self.called_by(Caller::One(address.into()))
    }

    /// Returns a handle on the same server whose calls come from `edges` addresses in turn.
    ///
    /// Clones of that handle share the turn. The addresses are those of every other handle with edges.
    #[must_use]
    pub fn edges(&self, edges: u8) -> Self {
        self.called_by(Caller::edges(edges, Turn::InTurn(0)))
    }

    /// Like [`edges`](Self::edges), but each call draws its edge; a seed repeats its draws.
    #[must_use]
    pub fn edges_drawn(&self, edges: u8, seed: u64) -> Self {
        self.called_by(Caller::edges(edges, Turn::Drawn(seed)))
    }

    /// Lets an edge write `Date`, so many seconds ahead of the server's clock (behind it, if negative).
    ///
    /// From then on the edge's clock goes on by itself: turning the server's does not turn it. Defaults to `None`: the
    /// server writes `Date`.
    pub fn set_edge_clock(&self, ahead: Option<i64>) {
        let mut server = self.server();
        let now = server.clock.now();
        server.edge.set(ahead, now);
    }
}
