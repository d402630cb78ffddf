//! Limits how many looks at slots run at the same time.
//!
//! A look is an exchange with the store about one slot. While the store is quick, 16 looks at a time are enough. If the
//! store is slow, or a part of it hangs, each look there keeps its place until its time limit, and other slots wait. So
//! the limit doubles every 250 ms while a due slot waits.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use crate::{driver::core::Core, error::Error, store::Slot};

/// How many looks run at the same time while the store is quick.
const AT_ONCE: usize = 16;
/// How many looks run at the same time at most. Example: of 2,000 slots, half hang. Looking at all of them takes only
/// seconds.
pub(super) const MOST_AT_ONCE: usize = 1024;
/// A look that takes longer than this does not count against `AT_ONCE`.
const SLOW: Duration = Duration::from_secs(1);
/// The limit doubles each time that the first due slot has waited this long.
pub(super) const DOUBLES_EVERY: Duration = Duration::from_millis(250);

/// A look that is running.
pub(super) struct Look<'a> {
    slot: Slot,
    begun: Duration,
    work: Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>,
}

impl<'a> Look<'a> {
    pub(super) fn new(
        core: &Core,
        slot: Slot,
        work: impl Future<Output = Result<(), Error>> + Send + 'a,
    ) -> Self {
        Self {
            slot,
            begun: core.now().monotonic,
            work: Box::pin(work),
        }
    }
}

/// Returns whether another look may begin, if the first due slot has waited for `late`.
pub(super) fn has_room(under_way: &[Look<'_>], late: Duration, now: Duration) -> bool {
    let is_quick = |look: &&Look<'_>| now.saturating_sub(look.begun) < SLOW;
    under_way.len() < MOST_AT_ONCE && under_way.iter().filter(is_quick).count() < places(late)
}

fn places(late: Duration) -> usize {
    let times = late.as_millis() / DOUBLES_EVERY.as_millis();
    let times = u32::try_from(times).unwrap_or(u32::MAX);
    let places = AT_ONCE.saturating_mul(2_usize.saturating_pow(times));
    places.min(MOST_AT_ONCE)
}

/// Waits for the first look that ends, and removes it. Returns its slot, and whether it succeeded.
pub(super) async fn first_of(under_way: &mut Vec<Look<'_>>) -> (Slot, bool) {
    poll_fn(|context| {
        // Poll the newest first, because those that hang are the oldest.
        for at in (0..under_way.len()).rev() {
            if let Poll::Ready(outcome) = under_way[at].work.as_mut().poll(context) {
                let look = under_way.remove(at);
                return Poll::Ready((look.slot, outcome.is_ok()));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(quick: usize, slow: usize, now: Duration) -> Vec<Look<'static>> {
        let look = |begun| Look {
            slot: Slot([0; 16]),
            begun,
            work: Box::pin(async { Ok(()) }),
        };
        let mut looks: Vec<_> = (0..quick).map(|_| look(now)).collect();
        looks.extend((0..slow).map(|_| look(now.saturating_sub(SLOW))));
        looks
    }

    #[test]
    fn looks_that_take_long_are_made_room_beside_up_to_a_bound() {
        let now = SLOW * 100;
        for (quick, slow, expected) in [
            (0, 0, true),
            (AT_ONCE - 1, 0, true),
            (AT_ONCE, 0, false),
            (AT_ONCE - 1, MOST_AT_ONCE - AT_ONCE, true),
            (AT_ONCE - 1, MOST_AT_ONCE - AT_ONCE + 1, false),
            (0, MOST_AT_ONCE - 1, true),
            (0, MOST_AT_ONCE, false),
        ] {
            let looks = looks(quick, slow, now);
            let has_room = has_room(&looks, Duration::ZERO, now);
            assert_eq!(has_room, expected, "{quick} and {slow}");
        }
    }

    #[test]
    fn the_longer_the_first_slot_waits_the_more_places_there_are_up_to_a_bound() {
        for (late, expected) in [
            (0, AT_ONCE),
            (249, AT_ONCE),
            (250, AT_ONCE * 2),
            (850, AT_ONCE * 8),
            (1_499, AT_ONCE * 32),
            (1_500, MOST_AT_ONCE),
            (100_000, MOST_AT_ONCE),
            (u64::MAX, MOST_AT_ONCE),
        ] {
            assert_eq!(places(Duration::from_millis(late)), expected, "{late} ms");
        }
    }
}
