//! The one place that every event passes: events are counted, logged and measured here, and sent to subscribers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, broadcast};

use super::{
    inline_counts::{InlineCounts, NotInlinedStats},
    log,
    meter::Meter,
    outbox::{Effect, Later, Outbox},
};
use crate::{
    api::Chain,
    clock::Clock,
    error::Error,
    hot::session::LiveSession,
    model::{event::Event, inlining::Inlined, reason::RetireReason},
    secret::ApiKey,
};

/// How many events a slow subscriber may fall behind before it misses some.
pub(crate) const CAPACITY: usize = 1024;

/// What a manager has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sessions that may be put on requests now.
    pub live_sessions: u64,
    /// Requests that carry a session and have no response yet.
    pub in_flight: u64,
    /// Retired sessions that wait to be deleted on the server. The server counts them until then. If this number
    /// grows, raise the [`call_budget`](crate::SessionManagerBuilder::call_budget) or `max_sessions`.
    pub pending_deletes: u64,
    /// Session calls of all kinds that were made. The [`CallBudget`](crate::CallBudget) limits them.
    pub session_calls: u64,
    /// How often the server was asked for its health, which is free. See
    /// [`verify_after`](crate::SessionManagerBuilder::verify_after).
    pub health_calls: u64,
    /// Sessions that were created, successors included.
    pub created: u64,
    /// Sessions of other processes that were adopted. See
    /// [`SessionManagerBuilder::store`](crate::SessionManagerBuilder).
    pub adopted: u64,
    /// Creates that failed, renewals included.
    pub create_failures: u64,
    /// Requests that got no session because of [`ErrorKind::Budget`](crate::ErrorKind::Budget). Either the
    /// [`call_budget`](crate::SessionManagerBuilder::call_budget) was used up, or ten times `max_sessions` were in use.
    /// Most of these requests caused no call and are not in any other count.
    pub refused_for_budget: u64,
    /// Sessions that were evicted to make room for others.
    pub evicted: u64,
    /// Sessions that were deleted on the server.
    pub deleted: u64,
    /// Sessions that were left to expire on the server.
    pub left_to_expire: u64,
    /// Creates whose outcome is unknown. Each may have left a session on the server, for one TTL.
    pub possible_orphans: u64,
    /// Requests that were sent without a session, because [`OnNoSession`](crate::OnNoSession) says so.
    pub sent_without: u64,
    /// Answers that came after the end of their request's session. The session may have been over when the server
    /// looked it up.
    pub late_answers: u64,
    /// Answers that a [checked](crate::SessionLayer::checked) layer withheld, because they name another chain than
    /// their session's.
    pub wrong_defaults: u64,
    /// Answers that a [checked](crate::SessionLayer::checked) layer found to name their session's chain.
    pub confirmed: u64,
    /// Requests that went elsewhere but looked like Sipher's. See [`Outside`](crate::Outside).
    pub outside: u64,
    /// Requests that were sent a second time by [`replay_once`](crate::SessionLayer::replay_once).
    pub replayed: u64,
    /// Requests whose body names all defaults, because they were put in or were already there. See
    /// [`InlineDefaults`](crate::InlineDefaults).
    pub inlined: u64,
    /// Requests whose body should name the defaults but does not, by reason. Requests whose headers say that they
    /// have no JSON body are not counted, because the server adds no defaults there.
    pub not_inlined: NotInlinedStats,
}

/// What a call to `/v1/sessions` is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    Delete,
    Get,
}

/// The counters, each since the manager was built.
#[derive(Debug, Default)]
struct Counts {
    session_calls: AtomicU64,
    created: AtomicU64,
    adopted: AtomicU64,
    create_failures: AtomicU64,
    refused_for_budget: AtomicU64,
    evicted: AtomicU64,
    deleted: AtomicU64,
    left_to_expire: AtomicU64,
    possible_orphans: AtomicU64,
    sent_without: AtomicU64,
    late_answers: AtomicU64,
    wrong_defaults: AtomicU64,
    confirmed: AtomicU64,
    outside: AtomicU64,
    replayed: AtomicU64,
}

/// The one way that events leave the manager.
#[derive(Debug)]
pub(crate) struct Observer {
    events: broadcast::Sender<Event>,
    counts: Counts,
    inline: InlineCounts,
    /// Whether the present cause for sending without a session was already reported.
    told: AtomicBool,
    meter: Meter,
    outbox: Outbox,
    /// Notified when a session has become the current one of its partition.
    pub(crate) arrivals: Notify,
}

impl Observer {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            events: broadcast::Sender::new(CAPACITY),
            counts: Counts::default(),
            inline: InlineCounts::default(),
            told: AtomicBool::new(false),
            meter: Meter::new(clock),
            outbox: Outbox::default(),
            arrivals: Notify::new(),
        }
    }

    /// Counts an event at once. The event is emitted once the thread that emits events holds no lock of this crate.
    pub(crate) fn emit(&self, event: Event) {
        self.count(&event);
        self.outbox.say(Effect::Tell(event, log::Span::current()));
        self.carry_out();
    }

    /// Called when a session has become the current one of its partition.
    pub(crate) fn arrived(&self) {
        self.outbox.say(Effect::Arrived);
        self.carry_out();
    }

    /// Carries out the effects that were queued under a lock.
    pub(crate) fn carry_out(&self) {
        self.outbox.carry_out(|effect| match effect {
            Effect::Arrived => self.arrivals.notify_waiters(),
            Effect::Tell(event, span) => {
                // Send first, because a log subscriber or metrics recorder may panic. It is fine if there is no
                // receiver.
                let _ = self.events.send(event.clone());
                self.meter.event(&event);
                log::event(&event, &span);
            }
        });
    }

    /// Returns a guard. Effects that this thread queues are carried out when the guard is dropped.
    pub(crate) fn later(&self) -> Later<'_> {
        Later::new(self)
    }

    /// Drops what another process has queued, after a fork.
    pub(crate) fn begin_anew(&self) {
        self.outbox.begin_anew();
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Called before a call to `/v1/sessions` is sent.
    pub(crate) fn session_call(&self, call: Call) {
        self.meter.session_call(call);
        self.counts.session_calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Called when a create has ended, `time` after it began. The time is not recorded if the create only checked a
    /// session.
    pub(crate) fn landed(&self, event: Event, time: Duration) {
        if !matches!(event, Event::Verified { .. } | Event::CheckFailed { .. }) {
            self.meter.create_took(time);
        }
        self.emit(event);
    }

    /// Called when a request gets no session because the budget or the room is used up.
    pub(crate) fn refused_for_budget(&self) {
        self.counts
            .refused_for_budget
            .fetch_add(1, Ordering::Relaxed);
        self.meter.refused_for_budget();
    }

    /// Called when a request is sent without a session. The event comes once for each cause, the count grows with
    /// each request.
    pub(crate) fn sent_without(&self, key: &ApiKey, error: &Error) {
        self.counts.sent_without.fetch_add(1, Ordering::Relaxed);
        self.meter.sent_without();
        if !self.told.swap(true, Ordering::AcqRel) {
            self.emit(Event::SendingWithout {
                api_key: key.fingerprint(),
                error: error.clone(),
            });
        }
    }

    /// Called when an answer came after the end of its session. The event comes once for each session, the count
    /// grows with each answer.
    pub(crate) fn late(&self, session: &LiveSession) {
        self.counts.late_answers.fetch_add(1, Ordering::Relaxed);
        self.meter.late_answer();
        if session.set_late() {
            let session = session.reference();
            self.emit(Event::Late { session });
        }
    }

    /// Called when an answer names another chain than its session or its request's body. The event comes once for
    /// each session, the count grows with each answer.
    pub(crate) fn wrong_defaults(
        &self,
        session: Option<&LiveSession>,
        expected: &Chain,
        answered: Chain,
    ) {
        self.counts.wrong_defaults.fetch_add(1, Ordering::Relaxed);
        self.meter.wrong_defaults();
        if let Some(session) = session.filter(|session| session.set_mismatched()) {
            self.emit(Event::WrongDefaults {
                session: session.reference(),
                expected: expected.clone(),
                answered,
            });
        }
    }

    /// Called when an answer names its session's chain.
    pub(crate) fn confirmed(&self) {
        self.counts.confirmed.fetch_add(1, Ordering::Relaxed);
        self.meter.confirmed();
    }

    /// Called when a request goes elsewhere but looks like Sipher's.
    pub(crate) fn outside(&self) {
        self.counts.outside.fetch_add(1, Ordering::Relaxed);
        self.meter.outside();
    }

    /// Called when a request is sent a second time.
    pub(crate) fn replayed(&self) {
        self.counts.replayed.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes what happened to the body of a request. The event comes once for each reason, the count grows with each
    /// request.
    pub(crate) fn inlined(&self, inlined: Inlined) {
        let is_first = self.inline.count(inlined);
        self.meter.inlined(inlined);
        if let (true, Inlined::Not { reason }) = (is_first, inlined)
            && !reason.is_servers()
        {
            self.emit(Event::NotInlined { reason });
        }
    }

    pub(crate) fn possible_orphans(&self) -> u64 {
        self.counts.possible_orphans.load(Ordering::Relaxed)
    }

    /// Counts creates that are given up, without an event for each.
    pub(crate) fn add_orphans(&self, orphans: u64) {
        self.counts
            .possible_orphans
            .fetch_add(orphans, Ordering::Relaxed);
        self.meter.orphans(orphans);
    }

    /// Called when a create that was given up has ended after all.
    pub(crate) fn take_back_orphan(&self) {
        self.counts.possible_orphans.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the counts that are kept here. The others are zero.
    pub(crate) fn stats(&self) -> Stats {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            session_calls: get(&self.counts.session_calls),
            created: get(&self.counts.created),
            adopted: get(&self.counts.adopted),
            create_failures: get(&self.counts.create_failures),
            refused_for_budget: get(&self.counts.refused_for_budget),
            evicted: get(&self.counts.evicted),
            deleted: get(&self.counts.deleted),
            left_to_expire: get(&self.counts.left_to_expire),
            possible_orphans: get(&self.counts.possible_orphans),
            sent_without: get(&self.counts.sent_without),
            late_answers: get(&self.counts.late_answers),
            wrong_defaults: get(&self.counts.wrong_defaults),
            confirmed: get(&self.counts.confirmed),
            outside: get(&self.counts.outside),
            replayed: get(&self.counts.replayed),
            inlined: self.inline.inlined(),
            not_inlined: self.inline.not_inlined(),
            ..Stats::default()
        }
    }

    fn count(&self, event: &Event) {
        let counter = match event {
            Event::Created { .. } => {
                self.told.store(false, Ordering::Release);
                &self.counts.created
            }
            Event::Adopted { .. } => {
                self.told.store(false, Ordering::Release);
                &self.counts.adopted
            }
            Event::Verified { .. } => {
                self.told.store(false, Ordering::Release);
                return;
            }
            Event::CreateFailed { .. } | Event::RenewalFailed { .. } => {
                &self.counts.create_failures
            }
            Event::Retired {
                reason: RetireReason::Evicted,
                ..
            } => &self.counts.evicted,
            Event::Deleted { .. } => &self.counts.deleted,
            Event::LeftToExpire { .. } => &self.counts.left_to_expire,
            Event::PossibleOrphan { .. } => &self.counts.possible_orphans,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
