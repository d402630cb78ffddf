//! The processes of a [`FakeSipher`]: how many there are, what they share, when they restart.

use super::{FakeSipher, Solana, caller::Turn};
use crate::clock::Clock;

impl FakeSipher {
    /// Sets the state of the Solana node behind the server. Defaults to [`Solana::Up`].
    pub fn set_solana(&self, solana: Solana) {
        self.server().solana = solana;
    }

    /// Restarts every process. This takes no time.
    ///
    /// Each process forgets its sessions, the day's counts and its rate-limit windows, and reports a new start time in
    /// `/v1/health`. Keys and the log stay. Sessions and counts in a [common store](Self::set_common_store) stay too.
    ///
    /// For a restart that takes some time, let a [`Fault`](super::Fault) such as
    /// [`What::Cloudflare`](super::What::Cloudflare) or [`What::Refuse`](super::What::Refuse) answer meanwhile, or
    /// [close](super::Served::close) the port.
    pub fn restart(&self) {
        self.server().restart();
    }

    /// Restarts one process, counted from 0. See [`restart`](Self::restart).
    pub fn restart_replica(&self, replica: usize) {
        let mut server = self.server();
        let now = server.clock.now();
        server.processes.restart_one(replica, now);
        server.sessions.restart_replica(replica);
    }

    /// Adds a common store behind the processes, or removes it. Defaults to `false`, as in production.
    ///
    /// With a store, `/v1/health` reports `redis.connected`, sessions and the day's counts survive a restart, and every
    /// replica finds every session. Without one, each replica has its own sessions and counts. To the other replicas,
    /// its sessions are [`DeadReason::Elsewhere`](super::DeadReason::Elsewhere).
    pub fn set_common_store(&self, is_there: bool) {
        self.server().sessions.set_common_store(is_there);
    }

    /// Runs this many replicas, which take requests in turn. Each is a process with its own start time, memory and
    /// rate-limit windows. Defaults to one.
    ///
    /// The replicas share a store, unless [`set_common_store`](Self::set_common_store) was called with `false`.
    /// [`restart`](Self::restart) empties a store that was added by this method. The store stays if the number of
    /// replicas is reduced.
    ///
    /// A replica reads the store only for sessions that it does not know yet, and writes the whole record back at every
    /// use. So a stale replica undoes a PATCH and revives a deleted session.
    pub fn replicas(&self, replicas: usize) {
        let mut server = self.server();
        let now = server.clock.now();
        server.processes.resize(replicas, now);
        server.sessions.set_replicas(replicas);
    }

    /// Sends all requests to one replica, counted from 0.
    pub fn route_to(&self, replica: usize) {
        self.server().processes.pin(Some(replica));
    }

    /// Lets the replicas take requests in turn again.
    pub fn round_robin(&self) {
        self.server().processes.spread(Turn::InTurn(0));
    }

    /// Chooses the replica of each request at random. The same seed gives the same choices.
    pub fn route_by_draw(&self, seed: u64) {
        self.server().processes.spread(Turn::Drawn(seed));
    }
}
