//! An outcome that one task promises and that any number of others wait for.
//!
//! Those who wait are woken in the order in which they came, so that a run with a given seed repeats.

use std::sync::Arc;

use tokio::sync::SetOnce;

/// For who brings the outcome. Dropped without one, it is broken, and whoever waits is told.
#[derive(Debug)]
pub(crate) struct Promise<T>(Arc<SetOnce<Option<T>>>);

/// For those who wait.
#[derive(Debug)]
pub(crate) struct Promised<T>(Arc<SetOnce<Option<T>>>);

pub(crate) fn promise<T>() -> (Promise<T>, Promised<T>) {
    let once = Arc::new(SetOnce::new());
    (Promise(once.clone()), Promised(once))
}

impl<T> Promise<T> {
    pub(crate) fn keep(self, outcome: T) {
        let _ = self.0.set(Some(outcome));
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        let _ = self.0.set(None);
    }
}

impl<T> Promised<T> {
    /// The outcome, if it is there.
    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()?.as_ref()
    }

    /// Whether there will be none.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.0.get(), Some(None))
    }

    /// Waits for the outcome; `None` if there will be none.
    pub(crate) async fn wait(&self) -> Option<&T> {
        self.0.wait().await.as_ref()
    }
}

impl<T> Clone for Promised<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_promise_that_is_dropped_is_broken_and_one_that_is_kept_stays_so() {
        let (kept, outcome) = promise();
        kept.keep(1);
        assert_eq!(
            (outcome.wait().await, outcome.is_broken()),
            (Some(&1), false)
        );
        let (broken, outcome) = promise::<u8>();
        assert_eq!((outcome.get(), outcome.is_broken()), (None, false));
        drop(broken);
        assert_eq!((outcome.wait().await, outcome.is_broken()), (None, true));
    }

    #[tokio::test]
    async fn those_who_wait_are_woken_in_the_order_in_which_they_came() {
        let (kept, outcome) = promise();
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
        kept.keep(());
        for waiter in waiters {
            waiter.await.unwrap();
        }
        let woken = woken.lock().unwrap();
        assert!(woken.iter().copied().eq(0..50), "{woken:?}");
    }
}
