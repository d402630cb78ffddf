//! The task that keeps the connection subscribed to changes while there are listeners.

use std::{process, sync::Arc, time::Duration};

use tokio::{runtime::Handle, task::JoinHandle};

use super::link::Link;
use crate::{lock::Lock, random::Random, store::Announcer};

/// The pauses between tries to subscribe. They double from the first to the last, with jitter in the upper half.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

/// The task, which is aborted on drop, and the process that runs it.
#[derive(Debug, Default)]
pub(super) struct Listener(Lock<Option<(JoinHandle<()>, u32)>>);

impl Listener {
    /// Starts the task, unless it runs. Does nothing without listeners, or outside of a runtime.
    pub(super) fn ensure(&self, link: &Arc<Link>, announcer: &Announcer, channel: &str) {
        if !announcer.has_listeners() {
            return;
        }
        let mut task = self.0.lock();
        let process = process::id();
        // A forked child does not have the task: it stays in the parent.
        let runs = |(task, of): &(JoinHandle<()>, u32)| !task.is_finished() && *of == process;
        if task.as_ref().is_some_and(runs) {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let listening = listen(link.clone(), announcer.clone(), channel.to_owned());
            *task = Some((runtime.spawn(listening), process));
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some((task, _)) = self.0.lock().take() {
            task.abort();
        }
    }
}

async fn listen(link: Arc<Link>, announcer: Announcer, channel: String) {
    tokio::select! {
        () = announcer.unheard() => {}
        () = stay_subscribed(&link, &channel) => {}
    }
}

async fn stay_subscribed(link: &Link, channel: &str) {
    let (first, last) = PAUSES;
    let mut pause = first;
    loop {
        if link.hear(channel).await {
            pause = first;
        }
        tokio::time::sleep(pause.mul_f64(0.5 + Random::System.with(fastrand::Rng::f64) / 2.0))
            .await;
        pause = last.min(pause * 2);
    }
}
