//! What follows from decisions is carried out in the order in which it was said, and under no lock of ours: whoever is told may call
//! back.

use std::{
    cell::Cell,
    collections::VecDeque,
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::MutexGuard,
};

use super::{log::Span, observe::Observer};
use crate::{lock::Lock, model::event::Event};

thread_local! {
    /// How many of our locks this thread holds under which something may be said.
    static HELD: Cell<u32> = const { Cell::new(0) };
}

/// What follows from a decision, for others than whoever made it.
#[derive(Debug)]
pub(crate) enum Effect {
    /// With the span in which it happened.
    Tell(Event, Span),
    /// A session has become the current one of its partition. Whoever waits for one looks again.
    Arrived,
}

/// What was said and is not carried out yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Lock<Said>);

#[derive(Debug, Default)]
struct Said {
    effects: VecDeque<Effect>,
    /// Whether somebody carries them out, and goes on with what is said meanwhile.
    is_at_it: bool,
}

impl Outbox {
    pub(crate) fn say(&self, effect: Effect) {
        self.said().effects.push_back(effect);
    }

    /// Carries out what was said, unless this thread holds a lock, or another thread is at it: two at once would do it in another
    /// order. A subscriber or recorder may panic, and that ends neither a request nor what comes after it.
    pub(crate) fn carry_out(&self, carry_out: impl Fn(Effect)) {
        if HELD.get() > 0 || !self.begin() {
            return;
        }
        while let Some(effect) = self.next() {
            let _ = catch_unwind(AssertUnwindSafe(|| carry_out(effect)));
        }
    }

    /// Returns whether this thread is the one to do it.
    fn begin(&self) -> bool {
        let mut said = self.said();
        let begins = !said.is_at_it && !said.effects.is_empty();
        said.is_at_it |= begins;
        begins
    }

    /// Once there is no more, the next thread to say something carries it out: under the same lock as the look.
    fn next(&self) -> Option<Effect> {
        let mut said = self.said();
        let next = said.effects.pop_front();
        said.is_at_it = next.is_some();
        next
    }

    /// This process is a copy: what was said is the other's to tell, and whoever was at it is not here.
    pub(crate) fn begin_anew(&self) {
        *self.said() = Said::default();
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock()
    }
}

/// While there is one, this thread counts as holding a lock.
#[derive(Debug)]
struct Held;

impl Held {
    fn new() -> Self {
        HELD.set(HELD.get() + 1);
        Self
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.set(HELD.get() - 1);
    }
}

/// For whoever is called under a lock that is not ours, such as the cache's.
pub(crate) fn quietly(work: impl FnOnce()) {
    let _held = Held::new();
    work();
}

/// Has what is said on this thread carried out when it is dropped, and not before.
#[derive(Debug)]
pub(crate) struct Later<'a> {
    // Dropped in this order.
    _held: Held,
    _then: Then<'a>,
}

impl<'a> Later<'a> {
    pub(crate) fn new(observer: &'a Observer) -> Self {
        Self {
            _held: Held::new(),
            _then: Then(observer),
        }
    }
}

/// A lock under which things are said. They are carried out once this thread holds no such lock any more.
#[derive(Debug)]
pub(crate) struct Locked<'a, T> {
    // Dropped in this order.
    guard: MutexGuard<'a, T>,
    _later: Later<'a>,
}

#[derive(Debug)]
struct Then<'a>(&'a Observer);

impl<'a, T> Locked<'a, T> {
    pub(crate) fn new(lock: &'a Lock<T>, observer: &'a Observer) -> Self {
        let later = Later::new(observer);
        let guard = lock.lock();
        Self {
            guard,
            _later: later,
        }
    }
}

impl Drop for Then<'_> {
    fn drop(&mut self) {
        self.0.carry_out();
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

#[cfg(test)]
mod tests {
    use std::{
        sync::{Mutex, mpsc},
        thread,
    };

    use super::*;

    fn event(pending: usize) -> Effect {
        Effect::Tell(Event::DeletesPending { pending }, Span::current())
    }

    fn number(effect: Effect) -> usize {
        match effect {
            Effect::Tell(Event::DeletesPending { pending }, _) => pending,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_many_threads_say_is_told_by_one_at_a_time_in_order_and_once() {
        const EACH: usize = 2_000;
        let (outbox, said, told) = (Outbox::default(), Mutex::new(0), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        {
                            let mut said = said.lock().unwrap();
                            *said += 1;
                            outbox.say(event(*said));
                        }
                        outbox.carry_out(|effect| {
                            // Two at once would find it locked.
                            told.try_lock().unwrap().push(number(effect));
                        });
                    }
                });
            }
        });
        assert_eq!(*told.lock().unwrap(), (1..=4 * EACH).collect::<Vec<_>>());
    }

    #[test]
    fn a_subscriber_that_panics_keeps_nobody_from_what_comes_after_it() {
        let outbox = Outbox::default();
        (1..=3).for_each(|number| outbox.say(event(number)));
        let (told, was_told) = mpsc::channel();
        outbox.carry_out(|effect| {
            let number = number(effect);
            assert_ne!(number, 2, "on purpose");
            told.send(number).unwrap();
        });
        assert_eq!(was_told.try_iter().collect::<Vec<_>>(), [1, 3]);
        outbox.say(event(4));
        outbox.carry_out(|effect| told.send(number(effect)).unwrap());
        assert_eq!(was_told.recv(), Ok(4));
    }

    #[test]
    fn a_copy_of_the_process_tells_what_it_says_itself() {
        let outbox = Outbox::default();
        outbox.say(event(1));
        assert!(outbox.begin(), "the other one is at it");
        outbox.begin_anew();
        outbox.say(event(2));
        let told = Mutex::new(Vec::new());
        outbox.carry_out(|effect| told.lock().unwrap().push(number(effect)));
        assert_eq!(*told.lock().unwrap(), [2]);
    }
}
