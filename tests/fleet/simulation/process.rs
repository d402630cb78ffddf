//! What the processes of a run do.

use std::time::Duration;

use sipher_session::{Event, Events, SessionDefaults, SessionManager};
use tokio::{task::AbortHandle, time::timeout};

use super::{
    trace::{Entry, Trace, Who},
    wire::Wire,
};

/// One process, while it lives.
pub(crate) struct Process {
    pub(crate) who: Who,
    pub(crate) manager: SessionManager,
    pub(crate) events: Events,
    pub(crate) wire: Wire,
    /// What is done with it, which ends with it.
    pub(crate) hands: Vec<AbortHandle>,
}

impl Process {
    pub(crate) fn tell(&mut self, trace: &Trace) {
        while let Some(event) = self.events.try_recv() {
            if !matches!(event, Event::Missed { .. }) {
                trace.add(Entry::Event(self.who, format!("{event:?}")));
            }
        }
    }
}

pub(crate) async fn shut_down(mut process: Process, deadline: Duration, trace: Trace) {
    let report = process.manager.shutdown(deadline).await;
    process.tell(&trace);
    let who = process.who;
    trace.add(Entry::ShutDown { who, report });
}

pub(crate) async fn change(
    trace: Trace,
    who: Who,
    manager: SessionManager,
    to: SessionDefaults,
    is_patch: bool,
    gives_up_after: Duration,
) {
    let value = |defaults: &SessionDefaults| serde_json::to_value(defaults).unwrap();
    trace.add(Entry::Change {
        who,
        to: value(&to),
        is_patch,
    });
    let done = timeout(gives_up_after, async {
        if is_patch {
            manager.update_defaults(to).await
        } else {
            manager.replace_defaults(to).await
        }
    });
    let done = done.await;
    let now = value(&manager.defaults());
    trace.add(Entry::Changed {
        who,
        is_certain: done.is_ok(),
        to: matches!(done, Ok(Ok(()))).then_some(now),
    });
}
