//! Where everything that happens comes by once: it is counted, logged, measured, and told to who listens.

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

/// How many events a slow listener may fall behind before it misses some.
pub(crate) const CAPACITY: usize = 1024;

/// What a manager has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sessions that may be put on requests now.
    pub live_sessions: u64,
    /// Requests that bear a session and have no response yet.
    pub in_flight: u64,
    /// Sessions that are used no more and wait to be deleted on the server. They count there until then. If this grows, the
    /// [`call_budget`](crate::SessionManagerBuilder::call_budget) or `max_sessions` is too low.
    pub pending_deletes: u64,
    /// Session calls that were made, of all kinds: what the [`CallBudget`](crate::CallBudget) bounds.
    pub session_calls: u64,
    /// Times that the server was asked for its health, which is free: see
    /// [`verify_after`](crate::SessionManagerBuilder::verify_after).
    pub health_calls: u64,
    /// Sessions that were created, successors included.
    pub created: u64,
    /// Sessions of other processes that were taken up, see [`SessionManagerBuilder::store`](crate::SessionManagerBuilder).
    pub adopted: u64,
    /// Creates that failed, renewals included.
    pub create_failures: u64,
    /// Requests that got no session with [`ErrorKind::Budget`](crate::ErrorKind::Budget): the
    /// [`call_budget`](crate::SessionManagerBuilder::call_budget) was used up, or ten times `max_sessions` were in use. Most of these
    /// cost no call and are in no other count.
    pub refused_for_budget: u64,
    /// Sessions that had to make room for others.
    pub evicted: u64,
    /// Sessions that were deleted on the server.
    pub deleted: u64,
    /// Sessions that were left to expire on the server.
    pub left_to_expire: u64,
    /// Creates whose outcome is not known: each may have left a session on the server, for one TTL.
    pub possible_orphans: u64,
    /// Requests that were sent without a session, because [`OnNoSession`](crate::OnNoSession) says so.
    pub sent_without: u64,
    /// Answers that came after the end of the session that their request bore: it may have been over when the server
    /// looked it up.
    pub late_answers: u64,
    /// Answers that a [checked](crate::SessionLayer::checked) layer withheld, because they name another chain than their session
    /// has.
    pub wrong_defaults: u64,
    /// Answers that a [checked](crate::SessionLayer::checked) layer found to name their session's chain.
    pub confirmed: u64,
    /// Requests that went elsewhere and yet looked like Sipher's, see [`Outside`](crate::Outside).
    pub outside: u64,
    /// Requests that were sent once more, because [`replay_once`](crate::SessionLayer::replay_once) says so.
    pub replayed: u64,
    /// Requests whose body names all defaults, because they were put in or were there already. See
    /// [`InlineDefaults`](crate::InlineDefaults).
    pub inlined: u64,
    /// Requests whose body was to name them and does not, by reason. Those that say by their headers that they have no JSON body
    /// are not counted: the server looks for no defaults there.
    pub not_inlined: NotInlinedStats,
}

/// What a call to `/v1/sessions` is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    Delete,
    Get,
}

/// What is counted, each since the manager was built.
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

/// The one way out for events.
#[derive(Debug)]
pub(crate) struct Observer {
    events: broadcast::Sender<Event>,
    counts: Counts,
    inline: InlineCounts,
    /// Whether the present cause for sending without a session has been told of.
    told: AtomicBool,
    meter: Meter,
    outbox: Outbox,
    /// Tells that a session has become the current one of its partition.
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

    /// Counts it at once. It is told once the thread that tells holds none of our locks.
    pub(crate) fn emit(&self, event: Event) {
        self.count(&event);
        self.outbox.say(Effect::Tell(event, log::Span::current()));
        self.carry_out();
    }

    /// A session has become the current one of its partition.
    pub(crate) fn arrived(&self) {
        self.outbox.say(Effect::Arrived);
        self.carry_out();
    }

    /// Carries out what was said under a lock.
    pub(crate) fn carry_out(&self) {
        self.outbox.carry_out(|effect| match effect {
            Effect::Arrived => self.arrivals.notify_waiters(),
            Effect::Tell(event, span) => {
                // First, as a subscriber or recorder may panic. Nobody listening is fine.
                let _ = self.events.send(event.clone());
                self.meter.event(&event);
                log::event(&event, &span);
            }
        });
    }

    /// What is said on this thread is carried out when this is dropped.
    pub(crate) fn later(&self) -> Later<'_> {
        Later::new(self)
    }

    /// This process is a copy of the one that said something.
    pub(crate) fn begin_anew(&self) {
        self.outbox.begin_anew();
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// A call to `/v1/sessions` is about to go out.
    pub(crate) fn session_call(&self, call: Call) {
        self.meter.session_call(call);
        self.counts.session_calls.fetch_add(1, Ordering::Relaxed);
    }

    /// A create came to its outcome, so long after it began. One that found a session alive made none.
    pub(crate) fn landed(&self, event: Event, time: Duration) {
        if !matches!(event, Event::Verified { .. } | Event::CheckFailed { .. }) {
            self.meter.create_took(time);
        }
        self.emit(event);
    }

    /// A request gets no session, as calls or places are used up.
    pub(crate) fn refused_for_budget(&self) {
        self.counts
            .refused_for_budget
            .fetch_add(1, Ordering::Relaxed);
        self.meter.refused_for_budget();
    }

    /// A request goes out without a session. The event comes once for each cause, the count for each request.
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

    /// An answer came after the end of its session. The event comes once for each session, the count for each answer.
    pub(crate) fn late(&self, session: &LiveSession) {
        self.counts.late_answers.fetch_add(1, Ordering::Relaxed);
        self.meter.late_answer();
        if session.set_late() {
            let session = session.reference();
            self.emit(Event::Late { session });
        }
    }

    /// An answer names another chain than its session, or its body, has. The event comes once for each session, the count for
    /// each answer.
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

    /// An answer names its session's chain.
    pub(crate) fn confirmed(&self) {
        self.counts.confirmed.fetch_add(1, Ordering::Relaxed);
        self.meter.confirmed();
    }

    /// A request goes elsewhere and looks like Sipher's.
    pub(crate) fn outside(&self) {
        self.counts.outside.fetch_add(1, Ordering::Relaxed);
        self.meter.outside();
    }

    /// A request is sent once more.
    pub(crate) fn replayed(&self) {
        self.counts.replayed.fetch_add(1, Ordering::Relaxed);
    }

    /// What became of the defaults in the body of a request. The event comes once for each reason, the count for each request.
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

    /// A create that was given up ended after all.
    pub(crate) fn take_back_orphan(&self) {
        self.counts.possible_orphans.fetch_sub(1, Ordering::Relaxed);
    }

    /// What is counted here; the rest is left at zero.
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
