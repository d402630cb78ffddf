//! Reports once when the call budget begins to refuse requests, and once when that is over. Counts each refused
//! request.

use std::time::Duration;

use super::core::Core;
use crate::{
    clock::Reading,
    error::{Error, ErrorKind},
    model::{budget::Purpose, event::Event, partition::Partition},
};

/// The shortage is over only once no request was refused for this long. A single call that was granted between two
/// refusals does not end it.
const CALM: Duration = Duration::from_secs(10);

/// When the shortage began, and when it last refused a request.
#[derive(Debug, Default)]
pub(crate) struct Shortage(Option<(Reading, Reading)>);

impl Shortage {
    /// Notes a refused request. Returns whether the shortage is new.
    fn refused(&mut self, now: Reading) -> bool {
        let since = self.0.map(|(since, _)| since);
        self.0 = Some((since.unwrap_or(now), now));
        since.is_none()
    }

    /// Called when a create begins. If the shortage is over, returns how long it lasted.
    fn granted(&mut self, is_plenty: bool, now: Reading) -> Option<Duration> {
        let is_over = |(_, last): &mut (Reading, Reading)| is_plenty && now.since(*last) >= CALM;
        let (since, _) = self.0.take_if(is_over)?;
        Some(now.since(since))
    }
}

impl Core {
    /// Called when a request gets no session, and fails or goes without one.
    pub(crate) fn refused(&self, partition: &Partition, error: &Error) {
        if error.kind() != ErrorKind::Budget {
            return;
        }
        self.observer.refused_for_budget();
        if let Some(event) = self.shortage_of(partition) {
            self.emit(event);
        }
    }

    /// Returns the event for a new shortage. `None` if it was reported already, or if a call is free: the request was
    /// then refused because there are too many sessions.
    fn shortage_of(&self, partition: &Partition) -> Option<Event> {
        let now = self.now();
        let next_call_in = self.gate().next_call_in(partition, Purpose::Create, now);
        let is_news = !next_call_in.is_zero() && self.shortage().refused(now);
        is_news.then_some(Event::BudgetUsedUp { next_call_in })
    }

    /// Called when a create has begun.
    pub(crate) fn had_calls(&self) {
        let (now, is_plenty) = (self.now(), self.gate().is_plenty(self.now()));
        let lasted = self.shortage().granted(is_plenty, now);
        if let Some(lasted) = lasted {
            self.emit(Event::BudgetFree { lasted });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Reading {
        let time = Duration::from_secs(seconds);
        Reading {
            monotonic: time,
            wall: time,
        }
    }

    #[test]
    fn it_is_news_once_and_over_when_there_is_plenty_and_nobody_was_refused_for_a_while() {
        let mut shortage = Shortage::default();
        assert_eq!(shortage.granted(true, at(99)), None);
        let news = [100, 100, 105, 120].map(|now| shortage.refused(at(now)));
        assert_eq!(news, [true, false, false, false]);
        assert_eq!(shortage.granted(true, at(129)), None, "too soon");
        assert_eq!(shortage.granted(false, at(140)), None, "too few");
        let lasted = shortage.granted(true, at(140));
        assert_eq!(lasted, Some(Duration::from_secs(40)));
        assert_eq!(shortage.granted(true, at(140)), None, "told");
        assert!(shortage.refused(at(141)));
    }
}
