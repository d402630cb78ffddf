//! The reaper: the one background task that deletes retired sessions. The task runs while there is something to do.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::sleep;

use super::{
    check,
    core::Core,
    fleet::Leaving,
    log,
    observe::Call,
    retired::{Next, Retirement},
    stage::Stage,
};
use crate::{
    api::Stamp,
    clock::Reading,
    engine::{gate::Clearance, retired::LOOK},
    error::{Error, ErrorKind},
    hot::session::{LiveSession, Loss},
    model::{budget::Purpose, event::Event, failure, failure::FLOOR, sign},
    runtime::runtime,
};

/// The time limit of one delete.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after a delete that failed.
const PAUSE: Duration = Duration::from_secs(2);

/// Makes sure that retired sessions are deleted, or left to other processes of the fleet.
pub(crate) async fn tend(core: &Arc<Core>) {
    start(core);
    core.wake_reaper();
    if core.is_shut_down() {
        // The session came too late for the shutdown, which has reported it as a possible orphan.
        for retired in core.retirement.take_all() {
            if !matches!(
                core.fleet.leave(core, &retired.session).await,
                Leaving::Delete
            ) {
                continue;
            }
            let cleared = core.gate().clear(
                &retired.session.partition,
                Purpose::LastDelete,
                None,
                core.now(),
            );
            if matches!(cleared, Clearance::Granted) {
                let _ = delete(core, &retired.session).await;
            }
        }
    }
}

/// Starts the task if it is needed and there is a runtime. Without a runtime, the next caller that has one starts it.
pub(crate) fn start(core: &Arc<Core>) {
    let Ok(runtime) = runtime() else {
        return;
    };
    if core.stage() != Stage::Open {
        return;
    }
    if let Some(worker) = core.retirement.begin_work(core.now()) {
        let worker = Worker(core.retirement.clone(), worker);
        runtime.spawn(run(core.clone(), worker));
    }
}

/// Marks the worker as ended when it is dropped, also if its runtime ends. Then another worker may begin.
struct Worker(Arc<Retirement>, u64);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.dismiss(self.1);
    }
}

async fn run(core: Arc<Core>, worker: Worker) {
    tokio::select! {
        biased;
        // The manager was closed, so stop. A shutdown deletes what is left. If the last handle is gone, nothing is
        // deleted.
        _ = core.closed() => {}
        () = work(&core, worker.1) => {}
    }
}

async fn work(core: &Arc<Core>, worker: u64) {
    loop {
        let wait = match core.retirement.next(worker, core.now()) {
            Next::Done => return,
            Next::Wait(wait) => wait,
            Next::Delete(sessions) => match attempt_all(core, worker, &sessions).await {
                Some(wait) => wait.min(LOOK),
                None => continue,
            },
        };
        tokio::select! {
            biased;
            () = core.retirement.changed() => {}
            () = sleep(wait) => {}
        }
    }
}

/// Tells the store that this process does not use these sessions any more, and deletes those that no other process
/// uses. If nothing can be deleted for a while, returns for how long.
///
/// The calls to the store run side by side, because a part of the store may hang. The delete calls run one by one.
async fn attempt_all(
    core: &Arc<Core>,
    worker: u64,
    sessions: &[Arc<LiveSession>],
) -> Option<Duration> {
    let mut leaves: Vec<_> = sessions
        .iter()
        .map(|session| Box::pin(leave(core, session)))
        .collect();
    let mut wait = None;
    while core.retirement.is_worked_on_by(worker, core.now())
        && let Some((session, is_to_be_deleted)) = first_of(&mut leaves).await
    {
        if is_to_be_deleted && wait.is_none() {
            wait = attempt(core, session).await;
        }
    }
    wait
}

/// Waits for the first future that ends, and removes it. Returns `None` if no future is left.
async fn first_of<F: Future + Unpin>(all: &mut Vec<F>) -> Option<F::Output> {
    poll_fn(|context| {
        for at in 0..all.len() {
            if let Poll::Ready(done) = Pin::new(&mut all[at]).poll(context) {
                drop(all.remove(at));
                return Poll::Ready(Some(done));
            }
        }
        if all.is_empty() {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    })
    .await
}

/// Tells the store that this process does not use the session any more. Returns the session, and whether this process
/// has to delete it.
async fn leave<'a>(core: &Core, session: &'a Arc<LiveSession>) -> (&'a Arc<LiveSession>, bool) {
    let event = match core.fleet.leave(core, session).await {
        Leaving::Delete => return (session, true),
        Leaving::ToOthers => left_to_others(session),
        Leaving::Unknown(error) => left_to_expire(core, session, error),
    };
    core.retirement.remove(session);
    core.emit(event);
    (session, false)
}

/// Tries to delete a session. If nothing can be deleted for a while, returns for how long.
async fn attempt(core: &Arc<Core>, session: &Arc<LiveSession>) -> Option<Duration> {
    let now = core.now();
    // Do not call this in the `if` itself: the gate would stay locked while the event is emitted.
    let spent = core.gate().out_of_upkeep(&session.partition, now);
    if let Some(error) = spent {
        core.retirement.remove(session);
        core.emit(left_to_expire(core, session, error));
        return None;
    }
    let clearance = core
        .gate()
        .clear(&session.partition, Purpose::Delete, None, now);
    match clearance {
        Clearance::Wait(wait, error) => {
            let until = now.monotonic.saturating_add(wait);
            core.retirement.postpone(session, until, None);
            // If the wait is for the server's pace, the call budget or the end of an outage, all other deletes have to
            // wait, too.
            let concerns_all = failure::concerns_all(&error) || is_outage(core, now);
            return (concerns_all && wait > FLOOR).then_some(wait);
        }
        Clearance::Soon => core
            .retirement
            .postpone(session, now.monotonic + FLOOR, None),
        Clearance::Granted => match delete(core, session).await {
            Ok(_) => core.retirement.remove(session),
            Err(error) => {
                let (pause, now) = (error.retry_after().unwrap_or(PAUSE), core.now());
                let until = now.monotonic.saturating_add(pause);
                // In an outage, the failed delete does not count as a try, and all other deletes have to wait, too.
                let is_outage = is_outage(core, now);
                let tried = (!is_outage).then_some(error);
                core.retirement.postpone(session, until, tried);
                return is_outage.then_some(pause);
            }
        },
    }
    None
}

/// Returns whether the server cannot be connected to, as far as is known.
fn is_outage(core: &Core, now: Reading) -> bool {
    let reach = core.gate().check_reach(Purpose::Delete, None, now);
    reach.is_err()
}

pub(crate) fn left_to_others(session: &LiveSession) -> Event {
    let session = session.reference();
    Event::LeftToOthers { session }
}

pub(crate) fn left_to_expire(core: &Core, session: &LiveSession, error: Error) -> Event {
    Event::LeftToExpire {
        session: session.reference(),
        left: session.life.left(core.now()),
        error: Some(error),
    }
}

/// Deletes a session on the server. If the server does not have it any more, that counts as deleted. The caller has
/// already counted the call.
pub(crate) async fn delete(core: &Arc<Core>, session: &LiveSession) -> Result<Deleted, Error> {
    log::delete(&session.reference(), call(core, session)).await
}

async fn call(core: &Arc<Core>, session: &LiveSession) -> Result<Deleted, Error> {
    let partition = &session.partition;
    let api = core.calls(partition);
    core.observer.session_call(Call::Delete);
    let is_first = session.begin_delete();
    let id = session.id.to_id();
    let sent = core.now();
    let answer = api.timeout(TIMEOUT).delete_with_head(&id).await;
    let window = match &answer {
        Ok(head) => Stamp::of(head),
        Err(error) => error.window(),
    };
    core.saw_session_call(window, sent);
    let already_gone = match answer {
        Ok(_) => false,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            // If the session is shared, another process may have deleted it. Then nothing was lost.
            if is_first && !session.is_shared() {
                was_lost(core, session);
            }
            true
        }
        Err(error) => {
            if let Some(cause) = sign::in_session_call(&error) {
                core.note(cause);
            }
            let is_outage = core.saw_failed_delete(partition, &error);
            return Err(hold_back(core, session, error, is_outage));
        }
    };
    core.answered_to(partition);
    core.counted_call(partition);
    core.emit(Event::Deleted {
        session: session.reference(),
        already_gone,
    });
    Ok(Deleted { already_gone })
}

/// Reports a session that the server had lost before its delete. The server may have lost others, too.
fn was_lost(core: &Core, session: &LiveSession) {
    let now = core.now();
    if !session.life.left(now).is_zero() {
        core.emit(check::lost(session, Loss::Session, now));
        core.suspect_others(session);
    }
}

/// Lets the failure of a delete hold other calls back. If it is about pace, quota or the key, it holds creates back
/// as well. If the server cannot be reached, it holds back deletes.
fn hold_back(core: &Core, session: &LiveSession, error: Error, is_outage: bool) -> Error {
    use ErrorKind::{Credentials, Quota, RateLimited};
    let (partition, now) = (&session.partition, core.now());
    let mut gate = core.gate();
    match error.kind() {
        Credentials | Quota | RateLimited => gate.failed(partition, Purpose::Delete, error, now),
        _ if is_outage => gate.unreachable(partition, Purpose::Delete, error, now),
        _ => error,
    }
}

/// A session that the server does not have any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deleted {
    /// Whether the server had lost the session before the delete.
    pub(crate) already_gone: bool,
}
