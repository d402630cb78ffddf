//! The addresses that the server sees calls come from.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use super::draw;
use crate::lock::Lock;

/// Where a handle's calls come from. Clones share their turn.
#[derive(Clone)]
pub(super) enum Caller {
    One(IpAddr),
    /// So many edges of a network, of which each call takes one.
    Edges(u8, Arc<Lock<Turn>>),
}

/// How one of several is chosen.
pub(super) enum Turn {
    /// This one is next.
    InTurn(usize),
    /// The state of a draw.
    Drawn(u64),
}

impl Caller {
    /// The caller itself, without an edge in between.
    pub(super) fn direct() -> Self {
        Self::One(Ipv4Addr::LOCALHOST.into())
    }

    pub(super) fn edges(count: u8, turn: Turn) -> Self {
        Self::Edges(count.max(1), Arc::new(Lock::new(turn)))
    }

    /// The address of the next call.
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

/// 198.51.100.0/24 is reserved for examples.
fn edge(number: usize) -> IpAddr {
    let last = u8::try_from(number + 1).unwrap_or(u8::MAX);
    [198, 51, 100, last].into()
}
