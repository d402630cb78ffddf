//! What happened to the sessions that a manager held when it was shut down.

use std::{fmt, time::Duration};

use super::session_ref::SessionRef;
use crate::error::Error;

/// How many sessions the report describes one by one, so that it stays small.
const DETAILS: usize = 1_000;

/// What happened to the sessions that a manager held when it was shut down.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Sessions that were deleted on the server.
    pub deleted: usize,
    /// Sessions that the server had already lost, which is as good as a delete.
    pub already_gone: usize,
    /// Sessions that stay on the server until they expire: a request still used them, they were about to expire anyway,
    /// or time or call budget ran out.
    pub left_to_expire: usize,
    /// Sessions that stay on the server because other processes of the fleet use them, or may use them. The last
    /// process that leaves deletes them. If a process that used them was killed, or if the store may have forgotten
    /// one, they expire instead.
    pub left_to_others: usize,
    /// Sessions whose delete failed. They expire as well.
    pub failed: usize,
    /// Creates with an unknown outcome, over the whole life of the manager. Each may have left a session on the server.
    pub possible_orphans: u64,
    /// The first 1,000 sessions, one by one.
    pub sessions: Vec<SessionEnd>,
}

impl ShutdownReport {
    /// Returns whether the server certainly holds no session of this manager any more, apart from those in
    /// `left_to_others`. A session that has just expired may stay there for as long as its create took.
    pub fn is_clean(&self) -> bool {
        self.left_to_expire == 0 && self.failed == 0 && self.possible_orphans == 0
    }

    pub(crate) fn add(&mut self, session: SessionRef, fate: Fate) {
        match &fate {
            Fate::Deleted => self.deleted += 1,
            Fate::AlreadyGone => self.already_gone += 1,
            Fate::LeftToExpire { .. } => self.left_to_expire += 1,
            Fate::LeftToOthers => self.left_to_others += 1,
            Fate::Failed { .. } => self.failed += 1,
        }
        if self.sessions.len() < DETAILS {
            self.sessions.push(SessionEnd { session, fate });
        }
    }
}

/// One line for a log.
impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            deleted,
            already_gone,
            left_to_expire,
            failed,
            possible_orphans,
            ..
        } = self;
        write!(
            f,
            "{deleted} deleted, {already_gone} already gone, {left_to_expire} left to expire, {failed} failed, \
             {possible_orphans} possible orphans"
        )?;
        match self.left_to_others {
            0 => Ok(()),
            others => write!(f, ", {others} left to others"),
        }
    }
}

/// How one session ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionEnd {
    /// The session.
    pub session: SessionRef,
    /// What happened to it.
    pub fate: Fate,
}

/// What happened to a session at shutdown.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Fate {
    /// It was deleted on the server.
    Deleted,
    /// The server had already lost it.
    AlreadyGone,
    /// It is left to expire.
    #[non_exhaustive]
    LeftToExpire {
        /// How much life it had left.
        left: Duration,
        /// How many requests still used it.
        in_flight: usize,
    },
    /// Other processes of the fleet use it, or may use it.
    LeftToOthers,
    /// It could not be deleted, and is left to expire.
    #[non_exhaustive]
    Failed {
        /// Why.
        error: Error,
    },
}
