//! The shutdown: deletes every session that can be deleted in time.

use std::{mem, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    caught::caught, core::Core, fleet::Leaving, log, once::Sender, reaper, reaper::Deleted,
};
use crate::{
    clock::Reading,
    engine::shutdown::{Ending, Next, Shutdown},
    error::{Error, ErrorKind},
    hot::session::LiveSession,
    model::{
        event::Event,
        partition::Partition,
        report::{Fate, ShutdownReport},
    },
};

/// Runs the shutdown. It runs in a task of its own, so it goes on if the caller that waits for it gives up.
pub(crate) async fn run(core: Arc<Core>, deadline: Duration, done: Sender<ShutdownReport>) {
    let mut report = Closing::new(core.clone(), deadline).run(deadline).await;
    report.possible_orphans = core.observer.possible_orphans();
    log::report(&report);
    done.send(report);
    // A create may have ended after the last check and before the report. Delete its session as well.
    reaper::tend(&core).await;
}

/// Reports all sessions as left to expire. Used if there is no runtime for a shutdown.
pub(crate) fn give_up(core: &Core) -> ShutdownReport {
    let mut report = ShutdownReport::default();
    let retired = core
        .retirement
        .take_all()
        .into_iter()
        .map(|retired| retired.session);
    let now = core.now();
    for session in core.sessions().into_iter().chain(retired) {
        report.add(session.reference(), left_to_expire(&session, now));
    }
    let orphans = core.gate().give_up_all();
    core.observer.add_orphans(orphans);
    report.possible_orphans = core.observer.possible_orphans();
    report
}

/// A shutdown under way, and its results so far.
struct Closing {
    core: Arc<Core>,
    sessions: Shutdown<Arc<LiveSession>>,
    report: ShutdownReport,
}

impl Closing {
    fn new(core: Arc<Core>, deadline: Duration) -> Self {
        Self {
            sessions: Shutdown::new(deadline, core.now()),
            core,
            report: ShutdownReport::default(),
        }
    }

    async fn run(mut self, deadline: Duration) -> ShutdownReport {
        let core = self.core.clone();
        let _ = timeout(deadline / 4, core.fleet.last_words(&core)).await;
        let mut tasks = JoinSet::new();
        loop {
            self.admit();
            let next = self.sessions.next(&mut core.gate(), core.now());
            core.observer.add_orphans(self.sessions.take_orphans());
            match next {
                Next::Leave(session, time) => {
                    let work = leave(core.clone(), session.clone(), time);
                    tasks.spawn(log::within(unless_it_panics(session, work)));
                }
                Next::Delete(session, time) => {
                    let work = delete(core.clone(), session.clone(), time);
                    tasks.spawn(log::within(unless_it_panics(session, work)));
                }
                Next::LeaveToExpire(session) => self.leave_to_expire(&session),
                Next::Over => return mem::take(&mut self.report),
                Next::Wait(wait) => tokio::select! {
                    biased;
                    Some(ended) = tasks.join_next() => {
                        if let Ok((session, fate)) = ended {
                            self.ended(session, fate);
                        }
                    }
                    // A request in flight or a create has ended.
                    () = core.retirement.changed() => {}
                    () = sleep(wait) => {}
                },
            }
        }
    }

    fn admit(&mut self) {
        let (retired, now) = (self.core.retirement.take_all(), self.core.now());
        if !retired.is_empty() {
            let retired = retired.into_iter().map(|retired| retired.session);
            let retired = retired.filter(|session| session.life.may_go_on(now));
            self.sessions.admit(retired, now);
        }
    }

    fn leave_to_expire(&mut self, session: &Arc<LiveSession>) {
        let now = self.core.now();
        self.core.emit(Event::LeftToExpire {
            session: session.reference(),
            left: session.life.left(now),
            error: None,
        });
        let fate = left_to_expire(session, now);
        self.report.add(session.reference(), fate);
    }

    /// Notes what happened to one session. `fate` is `None` if no other process of the fleet uses the session, so that
    /// this process still has to delete it.
    fn ended(&mut self, session: Arc<LiveSession>, fate: Option<Fate>) {
        let reference = session.reference();
        self.sessions.ended(session, fate.is_none());
        if let Some(fate) = fate {
            self.report.add(reference, fate);
        }
    }
}

impl Drop for Closing {
    /// Puts back what is left if the runtime ends before the shutdown does. Another shutdown then finds it.
    fn drop(&mut self) {
        let unfinished = self.sessions.take_all();
        self.core.retirement.put_back(unfinished);
    }
}

impl Ending for Arc<LiveSession> {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }

    fn partition(&self) -> &Partition {
        &self.partition
    }

    fn is_others_too(&self) -> bool {
        LiveSession::is_others_too(self)
    }

    fn is_drained(&self, now: Reading) -> bool {
        self.in_flight.is_drained(now)
    }

    fn lingers_for(&self, now: Reading) -> Duration {
        self.in_flight.lingers_for(now)
    }

    fn left(&self, now: Reading) -> Duration {
        self.life.left(now)
    }
}

/// Returns the fate of one session. If code of the user panicked, the session counts as failed, and the other
/// sessions are still ended.
async fn unless_it_panics(
    session: Arc<LiveSession>,
    work: impl Future<Output = Option<Fate>>,
) -> (Arc<LiveSession>, Option<Fate>) {
    let broke_off = || {
        let text = "the session could not be ended: a clock, subscriber or recorder panicked";
        let error = Error::new(ErrorKind::Unavailable, text);
        Some(Fate::Failed { error })
    };
    let fate = caught(work).await.unwrap_or_else(broke_off);
    (session, fate)
}

/// Tells the store that this process stops using a session that other processes may use. Returns `None` if this process
/// has to delete the session.
async fn leave(core: Arc<Core>, session: Arc<LiveSession>, time: Duration) -> Option<Fate> {
    let left = timeout(time, core.fleet.leave(&core, &session)).await;
    match left {
        Ok(Leaving::Delete) => None,
        Ok(Leaving::ToOthers) => {
            core.emit(reaper::left_to_others(&session));
            Some(Fate::LeftToOthers)
        }
        Ok(Leaving::Unknown(error)) => {
            core.emit(reaper::left_to_expire(&core, &session, error));
            Some(left_to_expire(&session, core.now()))
        }
        Err(_) => Some(left_to_expire(&session, core.now())),
    }
}

/// Deletes one session within the time that is left.
async fn delete(core: Arc<Core>, session: Arc<LiveSession>, time: Duration) -> Option<Fate> {
    Some(match timeout(time, reaper::delete(&core, &session)).await {
        Ok(Ok(Deleted {
            already_gone: false,
        })) => Fate::Deleted,
        Ok(Ok(Deleted { already_gone: true })) => Fate::AlreadyGone,
        Ok(Err(error)) => {
            let (session, left) = (session.reference(), session.life.left(core.now()));
            core.emit(Event::LeftToExpire {
                session,
                left,
                error: Some(error.clone()),
            });
            Fate::Failed { error }
        }
        Err(_) => left_to_expire(&session, core.now()),
    })
}

fn left_to_expire(session: &LiveSession, now: Reading) -> Fate {
    Fate::LeftToExpire {
        left: session.life.left(now),
        in_flight: session.in_flight.count(),
    }
}
