//! A channel for one value that any number of tasks can wait for.
//!
//! Receivers are woken in the order in which they began to wait. So a run with a given seed is repeatable.

use std::sync::Arc;

use tokio::sync::SetOnce;

/// The sending half. If it is dropped unused, the channel is closed, and receivers learn that no value will come.
#[derive(Debug)]
pub(crate) struct Sender<T>(Arc<SetOnce<Option<T>>>);

/// The receiving half.
#[derive(Debug)]
pub(crate) struct Receiver<T>(Arc<SetOnce<Option<T>>>);

pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let once = Arc::new(SetOnce::new());
    (Sender(once.clone()), Receiver(once))
}

impl<T> Sender<T> {
    pub(crate) fn send(self, value: T) {
        let _ = self.0.set(Some(value));
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let _ = self.0.set(None);
    }
}

impl<T> Receiver<T> {
    /// Returns the value if it was sent.
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()?.as_ref()
    }

    /// Returns whether no value will come.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.0.get(), Some(None))
    }

    /// Waits for the value. Returns `None` if no value will come.
    pub(crate) async fn wait(&self) -> Option<&T> {
        self.0.wait().await.as_ref()
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sender_that_is_dropped_closes_the_channel_and_a_value_that_was_sent_stays() {
        let (kept, outcome) = channel();
        kept.send(1);
        assert_eq!(
            (outcome.wait().await, outcome.is_closed()),
            (Some(&1), false)
        );
        let (broken, outcome) = channel::<u8>();
        assert_eq!((outcome.get(), outcome.is_closed()), (None, false));
        drop(broken);
        assert_eq!((outcome.wait().await, outcome.is_closed()), (None, true));
    }

    #[tokio::test]
    async fn those_who_wait_are_woken_in_the_order_in_which_they_came() {
        let (kept, outcome) = channel();
        let woken = Arc::new(std::sync::Mutex::new(Vec::new()));
        let waiters: Vec<_> = (0..50)
            .map(|n| {
                let (outcome, woken) = (outcome.clone(), woken.clone());
                tokio::spawn(async move {
                    outcome.wait().await;
                    woken.lock().unwrap().push(n);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        kept.send(());
        for waiter in waiters {
            waiter.await.unwrap();
        }
        let woken = woken.lock().unwrap();
        assert!(woken.iter().copied().eq(0..50), "{woken:?}");
    }
}
