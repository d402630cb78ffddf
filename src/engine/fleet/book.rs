//! The group's defaults that this process knows, and its own changes that the store may not have yet.
//!
//! A group is the processes that share sessions and defaults through a store. *Told* means that a change was written to
//! the store. A change is *pending* until it has a time by the store's clock, so that processes with different clocks
//! agree on which change is the last.

use std::{collections::BTreeMap, time::Duration};

use super::lww::{LwwDefaults, copy};
use crate::{
    api::SessionDefaults,
    clock::{Reading, millis},
};

/// What this process knows of its group's defaults. They override the defaults with which the manager was built.
#[derive(Default)]
pub(crate) struct Book {
    /// Changes of other processes, adopted from the store, and changes made here that have a time by the store's clock.
    known: LwwDefaults,
    /// Changes made here that have no time by the store's clock yet.
    pending: BTreeMap<String, Pending>,
    /// The values of the pending changes.
    values: SessionDefaults,
    /// The store's time at the last contact, in milliseconds. A change that is made here later gets no earlier time.
    store_then: u64,
    /// Whether the store may lack some of these changes.
    is_untold: bool,
}

struct Pending {
    made: Reading,
    /// The time of the last known change of the field when this one was made. This one gets a later time, whatever the
    /// clocks say.
    above: u64,
    /// The store's time at the last contact before this change. The change gets no earlier time, even if the clock here
    /// was set forward since.
    store_then: u64,
}

impl Book {
    pub(crate) fn known(&self) -> &LwwDefaults {
        &self.known
    }

    pub(crate) fn is_untold(&self) -> bool {
        self.is_untold
    }

    /// Records that the fields `names` were changed here to their values in `values`.
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

    /// Gives each pending change its time by the store's clock, which said `store_now` at `now`.
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

    /// Returns the defaults that result from the changes in this book and in `others` together. A pending change wins
    /// over both.
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

    /// Adopts changes of other processes, which the manager has already put into effect.
    pub(crate) fn adopt(&mut self, others: &LwwDefaults) {
        self.known.merge(others);
    }

    /// Records that the store has all changes of `told`.
    pub(crate) fn was_told(&mut self, told: &LwwDefaults) {
        self.is_untold = !(self.pending.is_empty() && told.covers(&self.known));
    }

    /// Records that the store's content is useless, so that all changes have to be written again.
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
        // A second change of this process in the same millisecond is the latest as well.
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
        // If the store's clock was set back, the change gets no later time than now.
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
