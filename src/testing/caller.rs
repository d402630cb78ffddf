//! The addresses from which the server sees calls come.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use super::draw;
use crate::lock::Lock;

/// Where the calls of a handle come from. With several edges, clones continue the same turn.
#[derive(Clone)]
pub(super) enum Caller {
    One(IpAddr),
    /// Several edges of a CDN, one of which passes each call on.
    Edges(u8, Arc<Lock<Turn>>),
}

/// How one of several is chosen.
pub(super) enum Turn {
    /// In turn, beginning with this one.
    InTurn(usize),
    /// At random, with this state of the generator.
    Drawn(u64),
}

impl Caller {
    /// Returns the caller's own address, without an edge in between.
    pub(super) fn direct() -> Self {
        Self::One(Ipv4Addr::LOCALHOST.into())
    }

    pub(super) fn edges(count: u8, turn: Turn) -> Self {
        Self::Edges(count.max(1), Arc::new(Lock::new(turn)))
    }

    /// Returns the address of the next call.
    pub(super) fn next(&self) -> IpAddr {
        match self {
            Self::One(address) => *address,
            Self::Edges(count, turn) => {
                let mut turn = turn.lock();
                edge(turn.next(usize::from(*count)))
            }
        }
    }
}

impl Turn {
    /// Chooses one of `count`.
    pub(super) fn next(&mut self, count: usize) -> usize {
        match self {
            Self::InTurn(turn) => {
                let now = *turn % count;
                *turn = now + 1;
                now
            }
            Self::Drawn(state) => draw::one_of(count, state),
        }
    }
}

/// Returns the address of an edge, from 198.51.100.0/24, which is reserved for examples.
fn edge(number: usize) -> IpAddr {
    let last = u8::try_from(number + 1).unwrap_or(u8::MAX);
    [198, 51, 100, last].into()
}
