//! The rate-limit windows on answers, as far as the manager may have seen them.

use std::time::Duration;

use sipher_session::{clock::Reading, testing::Operation};

use super::Checker;

/// In a window.
const CALLS: u32 = 100;
/// Two windows that end so close together pass for one.
const ALIKE: Duration = Duration::from_secs(2);

/// The head of an answer.
pub(super) struct Stamped {
    wire: u64,
    /// By line.
    index: usize,
    /// From this line on the manager may have looked at it: at that of a session call once its body is there.
    seen: usize,
    /// How many calls are left in its window.
    left: u32,
    /// When that ends, on the clock that is never set.
    ends: Duration,
}

impl Checker<'_> {
    pub(super) fn saw_head(
        &mut self,
        wire: u64,
        stamp: Option<(u32, u32)>,
        (index, at): (usize, Reading),
    ) {
        let sent = self.flying.get(&wire).map(|flying| &flying.sent);
        let (Some(sent), Some((left, reset))) = (sent.filter(|sent| !sent.by_hand), stamp) else {
            return;
        };
        let is_session_call = sent.operation != Operation::Other;
        let seen = if is_session_call { usize::MAX } else { index };
        let stamped = Stamped {
            wire,
            index,
            seen,
            left,
            ends: at.monotonic + Duration::from_secs(reset.into()),
        };
        self.inline.heads.push(stamped);
    }

    pub(super) fn saw_body(&mut self, wire: u64, index: usize) {
        let mut heads = self.inline.heads.iter_mut().rev();
        if let Some(head) = heads.find(|head| head.wire == wire) {
            head.seen = head.seen.min(index);
        }
    }

    /// Whether the manager has looked at the window of the process that answers before this line.
    pub(super) fn is_window_known(&self, line: usize) -> bool {
        let restarts = self.restarts.iter().rev().map(|(index, _)| *index);
        let restart = restarts.into_iter().find(|index| *index < line);
        let since = restart.unwrap_or_default()..line;
        let mut heads = self.inline.heads.iter();
        heads.any(|head| since.contains(&head.index) && head.seen < line)
    }

    /// Whether a call whose answer nobody saw, such as one that was delivered twice, took a place in the window of the process
    /// that answered this one. The windows of two processes can then pass for one.
    pub(super) fn is_window_unseen(&self, head: usize) -> bool {
        let restarts = self.restarts.iter().rev().map(|(index, _)| *index);
        let Some(restart) = restarts.into_iter().find(|index| *index < head) else {
            return false;
        };
        let heads = self.inline.heads.iter();
        let since: Vec<_> = heads
            .filter(|it| (restart..=head).contains(&it.index))
            .collect();
        let before = self.inline.heads.iter().rev().find(|it| it.index < restart);
        let ends = since
            .first()
            .zip(before)
            .map(|(one, two)| (one.ends, two.ends));
        // Not every head is looked at then.
        let is_alike = ends.is_some_and(|(one, two)| one.abs_diff(two) <= ALIKE);
        if is_alike && !self.script.proves {
            return true;
        }
        let taken = since.last().map_or(0, |it| CALLS - it.left);
        taken as usize > since.iter().filter(|it| it.seen <= head).count()
    }
}
