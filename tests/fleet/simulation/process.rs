//! What the processes of a run do.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use sipher_session::{
    Event, Events, SessionDefaults, SessionLayer, SessionManager, testing::FakeSipher,
};
use tokio::{task::AbortHandle, time::timeout};
use tower::{Layer, ServiceExt};

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
    /// Tasks that use the process. They end with it.
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

/// Deletes or changes the current session by a request through the layer.
pub(crate) async fn session_call(who: Who, manager: SessionManager, wire: Wire, is_delete: bool) {
    let Ok(session) = manager.session().await else {
        return;
    };
    let id = session.id().as_str().to_owned();
    let (method, body) = if is_delete {
        (Method::DELETE, "")
    } else {
        (Method::PATCH, r#"{"defaults":{"chain":"aptos"}}"#)
    };
    let request = Request::builder()
        .method(method)
        .uri(format!("{}/v1/sessions/{id}", FakeSipher::base_url()))
        .header("content-type", "application/json")
        .body(Full::<Bytes>::from(body))
        .unwrap();
    wire.trace.add(Entry::TakenOut { who, id });
    let wire = Wire {
        by_hand: true,
        ..wire
    };
    let answer = SessionLayer::new(manager).layer(wire).oneshot(request);
    // Without this limit, a call that hangs would never end.
    drop(timeout(Duration::from_secs(90), answer).await);
}

pub(crate) async fn change(
    trace: Trace,
    (who, n): (Who, u64),
    manager: SessionManager,
    to: SessionDefaults,
    is_patch: bool,
    gives_up_after: Duration,
) {
    trace.add(Entry::Change {
        who,
        n,
        to: serde_json::to_value(&to).unwrap(),
        is_patch,
    });
    let done = timeout(gives_up_after, async {
        if is_patch {
            manager.update_defaults(to).await
        } else {
            manager.replace_defaults(to).await
        }
    });
    let is_made = done.await.ok().map(|done| done.is_ok());
    trace.add(Entry::Changed { n, is_made });
}
