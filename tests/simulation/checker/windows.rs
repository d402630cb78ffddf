//! The rate-limit windows of answers, as far as the manager may have seen them.

use std::time::Duration;

use sipher_session::{clock::Reading, testing::Operation};

use super::Checker;

/// The calls in one window.
const CALLS: u32 = 100;
/// Two windows whose ends are this close look like one.
const ALIKE: Duration = Duration::from_secs(2);

/// The head of an answer.
pub(super) struct Stamped {
    wire: u64,
    /// The line of the trace.
    index: usize,
    /// From this line on, the manager may have examined the head. For a session call, that is once the body has arrived.
    seen: usize,
    /// When the request was sent, and when the head arrived, in monotonic time.
    sent: Duration,
    at: Duration,
    /// How many calls are left in the window.
    left: u32,
    /// The latest time at which the window ends.
    ends: Duration,
}

impl Stamped {
    /// Returns the earliest and the latest end of the window. The server gives the rest of the window in whole seconds, rounded up.
    fn span(&self) -> (Duration, Duration) {
        let took = self.at.saturating_sub(self.sent);
        let earliest = self.ends.saturating_sub(took + Duration::from_secs(1));
        (earliest, self.ends)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let ((first, last), (begin, end)) = (self.span(), other.span());
        first <= end && begin <= last
    }

    /// Whether this answer may have been written later than `other` in the same window, or before it.
    fn goes_with(&self, other: &Self) -> bool {
        self.left < other.left || (other.at >= self.sent && self.left != other.left)
    }
}

impl Checker<'_> {
    pub(super) fn saw_head(
        &mut self,
        wire: u64,
        stamp: Option<(u32, u32)>,
        (index, at): (usize, Reading),
    ) {
        let flying = self.flying.get(&wire);
        let flying = flying.filter(|flying| !flying.sent.by_hand);
        let (Some(flying), Some((left, reset))) = (flying, stamp) else {
            return;
        };
        let is_session_call = flying.sent.operation != Operation::Other;
        let seen = if is_session_call { usize::MAX } else { index };
        let stamped = Stamped {
            wire,
            index,
            seen,
            sent: flying.at.monotonic,
            at: at.monotonic,
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

    /// Whether the manager, before this line, has examined a window of the process that answers.
    pub(super) fn is_window_known(&self, line: usize) -> bool {
        let restarts = self.restarts.iter().rev().map(|(index, _)| *index);
        let restart = restarts.into_iter().find(|index| *index < line);
        let since = restart.unwrap_or_default()..line;
        let mut heads = self.inline.heads.iter();
        heads.any(|head| since.contains(&head.index) && head.seen < line)
    }

    /// Whether a call whose answer nobody saw took a place in the window of the process that sent this head. An example
    /// is a call that was delivered twice. The windows of two processes can then look like one.
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
        // Without proofs, the layer does not examine every head.
        let is_alike = ends.is_some_and(|(one, two)| one.abs_diff(two) <= ALIKE);
        if (is_alike && !self.script.proves) || self.may_be_of_before(head, restart) {
            return true;
        }
        let taken = since.last().map_or(0, |it| CALLS - it.left);
        taken as usize > since.iter().filter(|it| it.seen <= head).count()
    }

    /// Whether an answer was so slow that it may belong to a window of the process before the restart. That window
    /// began while the answer was on its way, or up to a second before. None of its answers may have shown this number
    /// of calls left, or fewer.
    fn may_be_of_before(&self, head: usize, restart: usize) -> bool {
        let heads = &self.inline.heads;
        let answer = heads.iter().find(|it| it.index == head);
        let known = |it: &&Stamped| it.index < restart && it.seen < head;
        let last = heads.iter().rev().find(known);
        let Some((answer, last)) = answer.zip(last) else {
            return false;
        };
        let mut window = heads.iter().filter(known).filter(|it| it.overlaps(last));
        answer.at > answer.sent && answer.overlaps(last) && window.all(|it| answer.goes_with(it))
    }
}
