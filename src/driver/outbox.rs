//! Queues events and wake-ups that happen while a lock is held. They are carried out in order, once the thread holds no
//! lock of this crate. So a subscriber may call the manager.

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
    /// How many of the locks that delay effects this thread holds. At 0, effects are carried out.
    static HELD: Cell<u32> = const { Cell::new(0) };
}

/// What a thread queues for later.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Emit an event. The span is the one in which it happened.
    Tell(Event, Span),
    /// A session has become the current one of its partition. Requests that wait for one look again.
    Arrived,
}

/// The effects that are queued and not carried out yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Lock<Said>);

#[derive(Debug, Default)]
struct Said {
    effects: VecDeque<Effect>,
    /// Whether a thread is carrying the effects out. That thread also carries out what is queued meanwhile.
    is_at_it: bool,
}

impl Outbox {
    pub(crate) fn say(&self, effect: Effect) {
        self.said().effects.push_back(effect);
    }

    /// Carries out the queued effects, unless this thread holds a lock or another thread is doing it. Two threads at
    /// once would change the order. If a subscriber or recorder panics, the request and the next effects still go on.
    pub(crate) fn carry_out(&self, carry_out: impl Fn(Effect)) {
        if HELD.get() > 0 || !self.begin() {
            return;
        }
        while let Some(effect) = self.next() {
            let _ = catch_unwind(AssertUnwindSafe(|| carry_out(effect)));
        }
    }

    /// Returns whether this thread has to carry out the effects.
    fn begin(&self) -> bool {
        let mut said = self.said();
        let begins = !said.is_at_it && !said.effects.is_empty();
        said.is_at_it |= begins;
        begins
    }

    /// Takes the next effect. If there is none, clears the flag under the same lock. So a thread that queues an effect
    /// afterwards carries it out itself.
    fn next(&self) -> Option<Effect> {
        let mut said = self.said();
        let next = said.effects.pop_front();
        said.is_at_it = next.is_some();
        next
    }

    /// Drops the queue after a fork. The parent process emits those events, and its threads do not exist here.
    pub(crate) fn begin_anew(&self) {
        *self.said() = Said::default();
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock()
    }
}

/// While this exists, the thread counts as holding a lock.
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

/// Runs work that is called under a lock of another crate, such as the cache's. Effects are only queued meanwhile.
pub(crate) fn quietly(work: impl FnOnce()) {
    let _held = Held::new();
    work();
}

/// A guard. Effects that this thread queues are carried out when the guard is dropped, and not before.
#[derive(Debug)]
pub(crate) struct Later<'a> {
    // The fields are dropped in this order.
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

/// A lock under which effects may be queued. The effects are carried out once this thread holds no such lock any
/// more.
#[derive(Debug)]
pub(crate) struct Locked<'a, T> {
    // The fields are dropped in this order.
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
                            // If two threads did this at once, one would find it locked.
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
