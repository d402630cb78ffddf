//! The processes of a [`FakeSipher`]: how many, what they share, when they restart.

use super::{FakeSipher, Solana, caller::Turn};
use crate::clock::Clock;

impl FakeSipher {
    /// Says how the Solana node behind the server does. Defaults to [`Solana::Up`].
    pub fn set_solana(&self, solana: Solana) {
        self.server().solana = solana;
    }

    /// Restarts every process, which takes no time.
    ///
    /// Each forgets its sessions, the day's counts and its rate-limit windows, and tells of a new start in
    /// `/v1/health`. Keys and the log stay. So do sessions and counts in a [common store](Self::set_common_store).
    ///
    /// For a restart that takes a while, let a [`Fault`](super::Fault) such as
    /// [`What::Cloudflare`](super::What::Cloudflare) or [`What::Refuse`](super::What::Refuse) answer in the meantime, or
    /// [close](super::Served::close) the port.
    pub fn restart(&self) {
        self.server().restart();
    }

    /// Restarts one process, counted from 0; see [`restart`](Self::restart).
    pub fn restart_replica(&self, replica: usize) {
        let mut server = self.server();
        let now = server.clock.now();
        server.processes.restart_one(replica, now);
        server.sessions.restart_replica(replica);
    }

    /// Puts a common store behind the processes, or takes it away.
    ///
    /// With one, `/v1/health` says `redis.connected`, sessions and the day's counts outlive a restart, and every replica
    /// finds every session. Without one, each replica has sessions and counts of its own; to others its sessions are
    /// [`DeadReason::Elsewhere`](super::DeadReason::Elsewhere). Defaults to `false`, as in production.
    pub fn set_common_store(&self, is_there: bool) {
        self.server().sessions.set_common_store(is_there);
    }

    /// Runs this many replicas, each a process with its own start, memory and rate-limit windows; requests take turns.
    /// Defaults to one.
    ///
    /// They share a store, unless [`set_common_store`](Self::set_common_store) was called with `false`. A store that
    /// came with the replicas is emptied by [`restart`](Self::restart); it stays where the replicas become fewer.
    ///
    /// A replica reads the store for sessions that it does not know yet, and writes the whole record back at every use.
    /// So one that is behind the others undoes a PATCH and revives a deleted session.
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

    /// Lets requests take turns again.
    pub fn round_robin(&self) {
        self.server().processes.spread(Turn::InTurn(0));
    }

    /// Lets each request draw its replica; a seed repeats its draws.
    pub fn route_by_draw(&self, seed: u64) {
        self.server().processes.spread(Turn::Drawn(seed));
    }
}
