//! The group's defaults that this process knows, and what it has changed since it last reached the store.

use std::{collections::BTreeMap, time::Duration};

use super::lww::{LwwDefaults, copy};
use crate::{
    api::SessionDefaults,
    clock::{Reading, millis},
};

/// What this process knows of its group's defaults. The manager's defaults are the ones it was built with, overridden
/// by these.
#[derive(Default)]
pub(crate) struct Book {
    /// Changes adopted from the store, and changes made here that have a time by the store's clock.
    known: LwwDefaults,
    /// Changes made here that have no time by the store's clock yet.
    pending: BTreeMap<String, Pending>,
    /// The values of the pending changes.
    values: SessionDefaults,
    /// The store's time at the last contact, in milliseconds. Changes made later here are not older than that.
    store_then: u64,
    /// Whether the store may lack some of this.
    is_untold: bool,
}

struct Pending {
    made: Reading,
    /// The time of the last change that was known when this one was made. This change is later, whatever the clocks
    /// say.
    above: u64,
    /// The store's time at the last contact before this change. The change is later, however far this process's clock
    /// stepped.
    store_then: u64,
}

impl Book {
    pub(crate) fn known(&self) -> &LwwDefaults {
        &self.known
    }

    pub(crate) fn is_untold(&self) -> bool {
        self.is_untold
    }

    /// Records that the fields `names` were changed here to what they are in `values`.
    pub(crate) fn change(
        &mut self,
        names: impl IntoIterator<Item = String>,
        values: &SessionDefaults,
        made: Reading,
    ) {
        for name in names {
            copy(values, &name, &mut self.values);
            let above = self.known.changed_at(&name);
            let store_then = self.store_then;
            let pending = Pending {
                made,
                above,
                store_then,
            };
            self.pending.insert(name, pending);
            self.is_untold = true;
        }
    }

    /// Gives the pending changes their times by the store's clock, which said `store_now` at `now`.
    pub(crate) fn stamp(&mut self, store_now: Duration, now: Reading) {
        for (name, pending) in std::mem::take(&mut self.pending) {
            let at = millis(store_now.saturating_sub(now.since(pending.made)));
            let at = at.max(pending.store_then.min(millis(store_now)));
            let at = at.max(pending.above.saturating_add(1));
            self.known.set(&name, at, &self.values);
        }
        self.store_then = millis(store_now);
        self.values = SessionDefaults::default();
    }

    /// Returns the defaults that result from these changes and `others` together.
    pub(crate) fn with(
        &self,
        others: &LwwDefaults,
        built_with: &SessionDefaults,
    ) -> SessionDefaults {
        let mut all = self.known.clone();
        all.merge(others);
        let mut now = all.over(built_with);
        for name in self.pending.keys() {
            copy(&self.values, name, &mut now);
        }
        now
    }

    /// Adopts changes that the manager has taken over.
    pub(crate) fn adopt(&mut self, others: &LwwDefaults) {
        self.known.merge(others);
    }

    /// Records that the store has all of `told`.
    pub(crate) fn was_told(&mut self, told: &LwwDefaults) {
        self.is_untold = !(self.pending.is_empty() && told.covers(&self.known));
    }

    /// Records that the store's content is useless, so that everything has to be written again.
    pub(crate) fn tell_anew(&mut self) {
        self.is_untold = !(self.pending.is_empty() && self.known.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chain, PrivacyLevel};

    fn at(seconds: u64) -> Reading {
        let monotonic = Duration::from_secs(seconds);
        Reading {
            monotonic,
            wall: Duration::from_secs(1_795_000_000) + monotonic,
        }
    }

    const STORE: Duration = Duration::from_secs(1_700_000_000);

    fn chain(chain: Chain) -> SessionDefaults {
        SessionDefaults::new().chain(chain)
    }

    fn change(book: &mut Book, name: &str, values: &SessionDefaults, made: Reading) {
        book.change([name.to_owned()], values, made);
    }

    #[test]
    fn a_change_bears_the_stores_time_of_when_it_was_made() {
        let mut book = Book::default();
        change(&mut book, "chain", &chain(Chain::Sui), at(100));
        assert!(book.is_untold());
        book.stamp(STORE, at(3_700));
        let at = book.known().changed_at("chain");
        assert_eq!(at, (STORE.as_secs() - 3_600) * 1_000);
        let mut later = LwwDefaults::default();
        later.set("chain", at + 1, &chain(Chain::Near));
        assert_eq!(
            book.with(&later, &SessionDefaults::new()),
            chain(Chain::Near)
        );
    }

    #[test]
    fn a_change_is_later_than_what_was_known_when_it_was_made_whatever_clocks_say() {
        let (mut book, mut other) = (Book::default(), LwwDefaults::default());
        let far = u64::try_from((STORE + Duration::from_secs(9_999)).as_millis()).unwrap();
        other.set("chain", far, &chain(Chain::Near));
        book.adopt(&other);
        change(&mut book, "chain", &chain(Chain::Sui), at(100));
        book.stamp(STORE, at(100));
        assert_eq!(
            book.with(&other, &SessionDefaults::new()),
            chain(Chain::Sui)
        );
        // So is a second change of this process in the same millisecond.
        change(&mut book, "chain", &chain(Chain::Base), at(100));
        book.stamp(STORE, at(100));
        assert_eq!(
            book.with(&other, &SessionDefaults::new()),
            chain(Chain::Base)
        );
    }

    #[test]
    fn a_clock_that_steps_forward_makes_no_change_older_than_the_last_contact() {
        let mut book = Book::default();
        book.stamp(STORE, at(100));
        change(&mut book, "chain", &chain(Chain::Sui), at(105));
        let mut now = at(110);
        now.wall += Duration::from_secs(3_600);
        book.stamp(STORE + Duration::from_secs(10), now);
        assert_eq!(book.known().changed_at("chain"), STORE.as_secs() * 1_000);
        // The change is also no newer than now, if the store's clock has stepped back.
        change(&mut book, "backend", &chain(Chain::Sui), at(111));
        let earlier = STORE.saturating_sub(Duration::from_secs(1_000));
        book.stamp(earlier, at(111));
        assert_eq!(
            book.known().changed_at("backend"),
            earlier.as_secs() * 1_000
        );
    }

    #[test]
    fn what_is_pending_holds_here_until_the_store_is_reached() {
        let (mut book, mut other) = (Book::default(), LwwDefaults::default());
        change(&mut book, "chain", &chain(Chain::Sui), at(100));
        other.set("chain", u64::MAX, &chain(Chain::Near));
        other.set(
            "privacyLevel",
            1,
            &SessionDefaults::new().privacy_level(PrivacyLevel::Maximum),
        );
        let both = chain(Chain::Sui).privacy_level(PrivacyLevel::Maximum);
        assert_eq!(book.with(&other, &SessionDefaults::new()), both);
    }

    #[test]
    fn it_is_told_when_the_store_has_all_of_it_and_nothing_is_pending() {
        let mut book = Book::default();
        book.tell_anew();
        assert!(!book.is_untold(), "there is nothing to tell");
        change(&mut book, "chain", &chain(Chain::Sui), at(100));
        book.stamp(STORE, at(100));
        let told = book.known().clone();
        change(&mut book, "chain", &chain(Chain::Near), at(101));
        book.was_told(&told);
        assert!(book.is_untold());
        book.stamp(STORE, at(102));
        book.was_told(&book.known().clone());
        assert!(!book.is_untold());
        book.was_told(&told);
        assert!(book.is_untold());
        book.tell_anew();
        assert!(book.is_untold());
    }
}
