//! The end: no session is left behind that could be deleted in time.

use std::{mem, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{core::Core, fleet::Leaving, log, once::Sender, reaper, reaper::Deleted};
use crate::{
    clock::Reading,
    engine::gate::Clearance,
    error::{Error, ErrorKind},
    hot::session::LiveSession,
    model::{
        budget::Purpose,
        event::Event,
        failure,
        failure::FLOOR,
        partition::KeyId,
        report::{Fate, ShutdownReport},
    },
};

/// How many deletes are under way at once.
const SIDE_BY_SIDE: usize = 16;

/// Runs in a task of its own; whoever waits for it may give up.
pub(crate) async fn run(core: Arc<Core>, deadline: Duration, done: Sender<ShutdownReport>) {
    let mut report = Ending::new(core.clone(), deadline).run().await;
    report.possible_orphans = core.observer.possible_orphans();
    log::report(&report);
    done.send(report);
    // A create may have landed between the last look and the report.
    reaper::tend(&core).await;
}

/// What is left when no runtime lives long enough for a shutdown.
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

struct Ending {
    core: Arc<Core>,
    start: Reading,
    deadline: Duration,
    /// The longest life last, so that it is taken first.
    waiting: Vec<Arc<LiveSession>>,
    deleting: Vec<Arc<LiveSession>>,
    report: ShutdownReport,
}

impl Ending {
    fn new(core: Arc<Core>, deadline: Duration) -> Self {
        let start = core.now();
        Self {
            core,
            start,
            deadline,
            waiting: Vec::new(),
            deleting: Vec::new(),
            report: ShutdownReport::default(),
        }
    }

    async fn run(mut self) -> ShutdownReport {
        let core = self.core.clone();
        let _ = timeout(self.deadline / 4, core.fleet.last_words(&core)).await;
        let mut deletes = JoinSet::new();
        let mut drain_until = self.deadline / 2;
        loop {
            self.admit();
            if self.elapsed() >= drain_until {
                self.let_go(|session, now| !session.in_flight.is_drained(now));
                drain_until = Duration::MAX;
            }
            if self.left().is_zero() {
                self.let_go(|_, _| true);
                let orphans = core.gate().give_up_all();
                core.observer.add_orphans(orphans);
            }
            let mut look_again = self.look_again(drain_until);
            while deletes.len() < SIDE_BY_SIDE
                && let Some(session) = self.next_shared()
            {
                deletes.spawn(log::within(leave(core.clone(), session, self.left())));
            }
            while deletes.len() < SIDE_BY_SIDE {
                match self.clear_next() {
                    Ok(session) => deletes.spawn(log::within(delete(
                        core.clone(),
                        session,
                        self.time_for_one(),
                    ))),
                    Err(wait) => {
                        look_again = look_again.min(wait);
                        break;
                    }
                };
            }
            let creating = core.gate().is_creating() && !self.left().is_zero();
            if self.waiting.is_empty() && deletes.is_empty() && !creating {
                return self.finish();
            }
            tokio::select! {
                biased;
                Some(ended) = deletes.join_next() => {
                    if let Ok((session, fate)) = ended {
                        self.deleting.retain(|deleting| !Arc::ptr_eq(deleting, &session));
                        match fate {
                            Some(fate) => self.report.add(session.reference(), fate),
                            None => self.waiting.push(session),
                        }
                    }
                }
                // A request in flight or a create has ended.
                () = core.retirement.changed() => {}
                () = sleep(look_again) => {}
            }
        }
    }

    /// Takes over what has been retired, also by creates that landed meanwhile.
    fn admit(&mut self) {
        let retired = self.core.retirement.take_all();
        if !retired.is_empty() {
            let now = self.core.now();
            let retired = retired.into_iter().map(|retired| retired.session);
            self.waiting
                .extend(retired.filter(|session| session.life.may_go_on(now)));
            self.waiting.sort_by_key(|session| session.life.left(now));
        }
    }

    /// The next session that others may use as well, and that nothing here bears any more.
    fn next_shared(&mut self) -> Option<Arc<LiveSession>> {
        let now = self.core.now();
        let is_next = |session: &Arc<LiveSession>| {
            session.is_others_too() && session.in_flight.is_drained(now)
        };
        let at = self.waiting.iter().rposition(is_next)?;
        let session = self.waiting.remove(at);
        self.deleting.push(session.clone());
        Some(session)
    }

    /// The next session that may be deleted now, its call counted; or how long there is none.
    fn clear_next(&mut self) -> Result<Arc<LiveSession>, Duration> {
        let now = self.core.now();
        let mut soonest = Duration::MAX;
        // Those of keys that leave others a place come first.
        let all = (0..self.waiting.len()).rev();
        let (fair, others): (Vec<_>, _) =
            all.partition(|at| !self.takes_half_of_the_places(self.waiting[*at].partition.key_id));
        for at in fair.into_iter().chain::<Vec<_>>(others) {
            let session = &self.waiting[at];
            if session.is_others_too() || !session.in_flight.is_drained(now) {
                continue;
            }
            let mut gate = self.core.gate();
            let clearance = gate.clear(&session.partition, Purpose::LastDelete, None, now);
            drop(gate);
            match clearance {
                Clearance::Soon => soonest = soonest.min(FLOOR),
                Clearance::Granted => {
                    let session = self.waiting.remove(at);
                    self.deleting.push(session.clone());
                    return Ok(session);
                }
                Clearance::Wait(wait, error) => {
                    soonest = soonest.min(wait);
                    // The pace and the budget concern all the others as well.
                    if failure::concerns_all(&error) && wait > FLOOR {
                        break;
                    }
                }
            }
        }
        Err(soonest)
    }

    fn takes_half_of_the_places(&self, key: KeyId) -> bool {
        let deleting = self.deleting.iter();
        let of_key = deleting.filter(|session| session.partition.key_id == key);
        of_key.count() >= SIDE_BY_SIDE / 2
    }

    fn finish(mut self) -> ShutdownReport {
        // Only what panicked is still here.
        for session in mem::take(&mut self.deleting) {
            let error = Error::new(ErrorKind::Unavailable, "the delete broke off");
            self.report.add(session.reference(), Fate::Failed { error });
        }
        mem::take(&mut self.report)
    }

    fn let_go(&mut self, which: impl Fn(&LiveSession, Reading) -> bool) {
        let now = self.core.now();
        for session in self.waiting.extract_if(.., |session| which(session, now)) {
            let left = session.life.left(now);
            self.core.emit(Event::LeftToExpire {
                session: session.reference(),
                left,
                error: None,
            });
            self.report
                .add(session.reference(), left_to_expire(&session, now));
        }
    }

    /// When something may have changed that nobody tells us of.
    fn look_again(&self, drain_until: Duration) -> Duration {
        let now = self.core.now();
        let lingers = self
            .waiting
            .iter()
            .map(|session| session.in_flight.lingers_for(now));
        let until_drained = drain_until.saturating_sub(self.elapsed());
        let next = [until_drained, self.left()].into_iter().chain(lingers);
        next.filter(|wait| !wait.is_zero())
            .min()
            .unwrap_or(Duration::from_millis(1))
            .min(Duration::from_secs(1))
    }

    /// One that hangs gives its place to another in time.
    fn time_for_one(&self) -> Duration {
        let are_others_waiting = self.waiting.len() > SIDE_BY_SIDE;
        if are_others_waiting {
            self.left() / 2
        } else {
            self.left()
        }
    }

    fn elapsed(&self) -> Duration {
        self.core.now().since(self.start)
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_sub(self.elapsed())
    }
}

impl Drop for Ending {
    /// Its runtime may end before it does; another shutdown then finds what is left.
    fn drop(&mut self) {
        let unfinished = self.waiting.drain(..).chain(self.deleting.drain(..));
        self.core.retirement.put_back(unfinished);
    }
}

/// Leaves one session that others may use. Without a fate it is this process's own.
async fn leave(
    core: Arc<Core>,
    session: Arc<LiveSession>,
    time: Duration,
) -> (Arc<LiveSession>, Option<Fate>) {
    let left = timeout(time, core.fleet.leave(&core, &session)).await;
    let fate = match left {
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
    };
    (session, fate)
}

/// Deletes one session within the time that is left.
async fn delete(
    core: Arc<Core>,
    session: Arc<LiveSession>,
    time: Duration,
) -> (Arc<LiveSession>, Option<Fate>) {
    let fate = match timeout(time, reaper::delete(&core, &session)).await {
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
    };
    (session, Some(fate))
}

fn left_to_expire(session: &LiveSession, now: Reading) -> Fate {
    Fate::LeftToExpire {
        left: session.life.left(now),
        in_flight: session.in_flight.count(),
    }
}
