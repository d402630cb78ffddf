//! What happens is told in the order in which it was said, and under no lock of ours: whoever is told may call back.

use std::{
    cell::Cell,
    collections::VecDeque,
    ops::{Deref, DerefMut},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::observe::Observer;
use crate::model::event::Event;

thread_local! {
    /// How many of our locks this thread holds under which something may be said.
    static HELD: Cell<u32> = const { Cell::new(0) };
}

/// What was said and is not told yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    events: VecDeque<Event>,
    /// Whether somebody tells, who goes on with what is said meanwhile.
    is_telling: bool,
}

impl Outbox {
    pub(crate) fn say(&self, event: Event) {
        self.said().events.push_back(event);
    }

    /// Tells what was said, unless this thread holds a lock, or another tells: two at once would tell it in another order.
    pub(crate) fn tell_all(&self, tell: impl Fn(Event)) {
        if HELD.get() > 0 {
            return;
        }
        let mut said = self.said();
        if said.is_telling || said.events.is_empty() {
            return;
        }
        said.is_telling = true;
        drop(said);
        let telling = Telling(self);
        while let Some(event) = telling.next() {
            tell(event);
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends with the last event, or with a subscriber that panics.
struct Telling<'a>(&'a Outbox);

impl Telling<'_> {
    /// Once there is no more, the next to say something tells it: under the same lock as the look.
    fn next(&self) -> Option<Event> {
        let mut said = self.0.said();
        let next = said.events.pop_front();
        said.is_telling = next.is_some();
        next
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.0.said().is_telling = false;
    }
}

/// For who is called under a lock that is not ours, such as the cache's.
pub(crate) fn quietly(work: impl FnOnce()) {
    HELD.set(HELD.get() + 1);
    work();
    HELD.set(HELD.get() - 1);
}

/// A lock under which things are said. They are told once this thread holds no such lock any more.
#[derive(Debug)]
pub(crate) struct Locked<'a, T> {
    // Dropped in this order.
    guard: MutexGuard<'a, T>,
    _then: Then<'a>,
}

#[derive(Debug)]
struct Then<'a>(&'a Observer);

impl<'a, T> Locked<'a, T> {
    pub(crate) fn new(lock: &'a Mutex<T>, observer: &'a Observer) -> Self {
        HELD.set(HELD.get() + 1);
        let then = Then(observer);
        let guard = lock.lock().unwrap_or_else(PoisonError::into_inner);
        Self { guard, _then: then }
    }
}

impl Drop for Then<'_> {
    fn drop(&mut self) {
        HELD.set(HELD.get() - 1);
        self.0.tell();
    }
}

impl<T> Deref for Locked<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}
