//! The network between a caller and the server: other caller addresses, another `Date`.

use std::{net::IpAddr, time::Duration};

use super::{
    FakeSipher,
    caller::{Caller, Turn},
};
use crate::clock::{Clock, Reading};

/// Decides which clock writes `Date`.
#[derive(Default)]
pub(super) struct Edge {
    /// The wall-clock time of the edge when it was set, and the monotonic time at that moment.
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

    /// Returns the time in `Date`, since 1970.
    pub(super) fn date(&self, now: Reading) -> Duration {
        match self.clock {
            Some((wall, since)) => wall + now.monotonic.saturating_sub(since),
            None => now.wall,
        }
    }
}

impl FakeSipher {
    /// Returns a handle to the same server whose calls come from another address, such as an edge of a CDN.
    ///
    /// The server keeps a rate-limit window for each address. The handle that [`new`](Self::new) returns calls from
    /// 127.0.0.1.
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

    /// Returns a handle to the same server whose calls come from `edges` addresses in turn.
    ///
    /// Clones of the handle share the turn. All handles with edges use the same addresses.
    #[must_use]
    pub fn edges(&self, edges: u8) -> Self {
        self.called_by(Caller::edges(edges, Turn::InTurn(0)))
    }

    /// Like [`edges`](Self::edges), but chooses the edge of each call at random. The same seed gives the same choices.
    #[must_use]
    pub fn edges_drawn(&self, edges: u8, seed: u64) -> Self {
        self.called_by(Caller::edges(edges, Turn::Drawn(seed)))
    }

    /// Lets an edge write `Date`, this many seconds ahead of the server's clock, or behind it if negative. Defaults to
    /// `None`: the server writes `Date`.
    ///
    /// After that, the edge's clock runs on its own: setting the server's clock does not change it.
    pub fn set_edge_clock(&self, ahead: Option<i64>) {
        let mut server = self.server();
        let now = server.clock.now();
        server.edge.set(ahead, now);
    }
}
