//! The processes behind the one address: what each keeps in its own memory, and which of them takes a call.

use std::time::Duration;

use super::{caller::Turn, idempotency::Replays, limits::Quotas, window::Windows};
use crate::clock::Reading;

/// A process of the server. A restart replaces it by a successor that has lost everything but the start times.
pub(super) struct Process {
    /// The start times of this process and its predecessors, the latest one last.
    boots: Vec<Reading>,
    pub(super) windows: Windows,
    pub(super) quotas: Quotas,
    pub(super) replays: Replays,
}

/// All processes, and the load balancer in front of them.
pub(super) struct Processes {
    all: Vec<Process>,
    turn: Turn,
    pinned: Option<usize>,
}

impl Process {
    fn begin(now: Reading) -> Self {
        Self {
            boots: vec![now],
            windows: Windows::default(),
            quotas: Quotas::default(),
            replays: Replays::default(),
        }
    }

    /// Restarts the process: everything in its memory is lost.
    fn restart(&mut self, now: Reading) {
        let mut boots = std::mem::take(&mut self.boots);
        boots.push(now);
        *self = Self {
            boots,
            ..Self::begin(now)
        };
    }

    /// Returns the start time of the process that ran at this moment. Returns that of the first process if none had
    /// started yet.
    pub(super) fn boot(&self, at: Duration) -> Reading {
        let begun = |boot: &&Reading| boot.monotonic <= at;
        let boot = self.boots.iter().rev().find(begun);
        *boot.unwrap_or(&self.boots[0])
    }
}

impl Processes {
    pub(super) fn new(now: Reading) -> Self {
        Self {
            all: vec![Process::begin(now)],
            turn: Turn::InTurn(0),
            pinned: None,
        }
    }

    /// Adds or removes processes until there are `count`.
    pub(super) fn resize(&mut self, count: usize, now: Reading) {
        self.all.resize_with(count.max(1), || Process::begin(now));
        self.pinned = None;
    }

    pub(super) fn restart(&mut self, now: Reading) {
        self.all.iter_mut().for_each(|process| process.restart(now));
    }

    pub(super) fn restart_one(&mut self, number: usize, now: Reading) {
        self.at(number).restart(now);
    }

    pub(super) fn pin(&mut self, number: Option<usize>) {
        self.pinned = number.map(|number| number % self.all.len());
    }

    /// Sets how calls are spread over the processes.
    pub(super) fn spread(&mut self, turn: Turn) {
        self.pinned = None;
        self.turn = turn;
    }

    /// Chooses the process that takes the next call.
    pub(super) fn next(&mut self) -> usize {
        let turn = self.turn.next(self.all.len());
        self.pinned.unwrap_or(turn)
    }

    /// Returns a process. A call may be on its way to a process that was removed since: another one then takes it.
    pub(super) fn at(&mut self, number: usize) -> &mut Process {
        let there = number % self.all.len();
        &mut self.all[there]
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        self.all.iter_mut()
    }
}
