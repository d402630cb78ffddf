//! Metrics for the `metrics` facade. [`crate::observability`] documents the names and labels, which are stable.
//!
//! Without the feature `metrics`, everything here does nothing, so that the callers need no `cfg`.

#[cfg(feature = "metrics")]
mod live;

#[cfg(not(feature = "metrics"))]
pub(crate) use self::off::Meter;
#[cfg(feature = "metrics")]
pub(crate) use self::on::Meter;

#[cfg(feature = "metrics")]
mod on {
    use std::{sync::Arc, time::Duration};

    use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram};

    use super::live::{LIVE, Live};
    use crate::{
        clock::Clock,
        driver::{label, observe::Call},
        model::{
            event::Event,
            inlining::{Inlined, NotInlined},
            reason::RetireReason,
        },
    };

    const ADOPTED: &str = "sipher_session_adopted_total";
    const CONFIRMED: &str = "sipher_session_confirmed_total";
    const CREATES: &str = "sipher_session_creates_total";
    const CREATE_DURATION: &str = "sipher_session_create_duration_seconds";
    const DELETED: &str = "sipher_session_deleted_total";
    const INLINED: &str = "sipher_session_inlined_total";
    const LATE_ANSWERS: &str = "sipher_session_late_answers_total";
    const LEFT_TO_EXPIRE: &str = "sipher_session_left_to_expire_total";
    const NOT_INLINED: &str = "sipher_session_not_inlined_total";
    const OUTSIDE: &str = "sipher_session_outside_total";
    const ORPHANS: &str = "sipher_session_possible_orphans_total";
    const REFUSED_FOR_BUDGET: &str = "sipher_session_refused_for_budget_total";
    const RETIRED: &str = "sipher_session_retired_total";
    const SENT_WITHOUT: &str = "sipher_session_sent_without_total";
    const SESSION_CALLS: &str = "sipher_session_session_calls_total";
    const WRONG_DEFAULTS: &str = "sipher_session_wrong_defaults_total";

    /// The counters without labels.
    const PLAIN: [&str; 10] = [
        ADOPTED,
        CONFIRMED,
        INLINED,
        LATE_ANSWERS,
        LEFT_TO_EXPIRE,
        ORPHANS,
        REFUSED_FOR_BUDGET,
        SENT_WITHOUT,
        WRONG_DEFAULTS,
        OUTSIDE,
    ];

    /// The metrics of one manager. They add to those of the other managers of the process.
    #[derive(Debug)]
    pub(crate) struct Meter {
        live: Live,
    }

    impl Meter {
        /// Describes the metrics, and creates every series at zero. If a counter appeared only with its first
        /// increment, `rate()` would not see that increment.
        pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
            describe();
            for outcome in ["created", "failed"] {
                counter!(CREATES, "outcome" => outcome).increment(0);
            }
            for outcome in ["deleted", "already_gone"] {
                counter!(DELETED, "outcome" => outcome).increment(0);
            }
            for call in [Call::Create, Call::Delete, Call::Get] {
                counter!(SESSION_CALLS, "operation" => operation(call)).increment(0);
            }
            for reason in label::REASONS {
                counter!(RETIRED, "reason" => label::reason(reason)).increment(0);
            }
            for reason in label::NOT_INLINED {
                counter!(NOT_INLINED, "reason" => label::not_inlined(reason)).increment(0);
            }
            for name in PLAIN {
                counter!(name).increment(0);
            }
            Self {
                live: Live::new(clock),
            }
        }

        pub(crate) fn event(&self, event: &Event) {
            match event {
                Event::Created {
                    session,
                    usable_for,
                    ..
                } => {
                    counter!(CREATES, "outcome" => "created").increment(1);
                    self.live.created(session.generation, *usable_for);
                }
                Event::CreateFailed { .. } | Event::RenewalFailed { .. } => {
                    counter!(CREATES, "outcome" => "failed").increment(1);
                }
                Event::Retired { session, reason } => {
                    counter!(RETIRED, "reason" => label::reason(*reason)).increment(1);
                    // A session that is retired for a wrong answer never gets a `Created` event.
                    let may_come = *reason != RetireReason::WrongAnswer;
                    self.live.retired(session.generation, may_come);
                }
                Event::Deleted { already_gone, .. } => {
                    let outcome = if *already_gone {
                        "already_gone"
                    } else {
                        "deleted"
                    };
                    counter!(DELETED, "outcome" => outcome).increment(1);
                }
                Event::LeftToExpire { .. } => counter!(LEFT_TO_EXPIRE).increment(1),
                Event::PossibleOrphan { .. } => self.orphans(1),
                Event::Adopted {
                    session,
                    usable_for,
                    ..
                } => {
                    counter!(ADOPTED).increment(1);
                    self.live.created(session.generation, *usable_for);
                }
                // These have no counter, or are counted for each request instead of each event.
                Event::SendingWithout { .. }
                | Event::LeftToOthers { .. }
                | Event::RecordRefused { .. }
                | Event::StoreDown { .. }
                | Event::StoreUp
                | Event::Late { .. }
                | Event::WrongDefaults { .. }
                | Event::Leaked { .. }
                | Event::UnknownDefault { .. }
                | Event::Suspected { .. }
                | Event::Verified { .. }
                | Event::CheckFailed { .. }
                | Event::Lost { .. }
                | Event::Outside { .. }
                | Event::NotInlined { .. }
                | Event::Abandoned { .. }
                | Event::ServerDown { .. }
                | Event::ServerUp { .. }
                | Event::Crowded { .. }
                | Event::BudgetUsedUp { .. }
                | Event::BudgetFree { .. }
                | Event::DeletesPending { .. }
                | Event::Missed { .. } => {}
            }
        }

        #[allow(clippy::unused_self)] // a method, like the others
        pub(crate) fn session_call(&self, call: Call) {
            counter!(SESSION_CALLS, "operation" => operation(call)).increment(1);
        }

        #[allow(clippy::unused_self)]
        pub(crate) fn sent_without(&self) {
            counter!(SENT_WITHOUT).increment(1);
        }

        #[allow(clippy::unused_self)]
        pub(crate) fn refused_for_budget(&self) {
            counter!(REFUSED_FOR_BUDGET).increment(1);
        }

        #[allow(clippy::unused_self)]
        pub(crate) fn late_answer(&self) {
            counter!(LATE_ANSWERS).increment(1);
        }

        #[allow(clippy::unused_self)]
        pub(crate) fn wrong_defaults(&self) {
            counter!(WRONG_DEFAULTS).increment(1);
        }

        #[allow(clippy::unused_self)]
        pub(crate) fn confirmed(&self) {
            counter!(CONFIRMED).increment(1);
        }

        #[allow(clippy::unused_self)]
        pub(crate) fn outside(&self) {
            counter!(OUTSIDE).increment(1);
        }

        #[allow(clippy::unused_self)]
        pub(crate) fn inlined(&self, inlined: Inlined) {
            match inlined {
                Inlined::Merged | Inlined::Complete => counter!(INLINED).increment(1),
                Inlined::Off
                | Inlined::Not {
                    reason: NotInlined::NotJson | NotInlined::NoType,
                } => {}
                Inlined::Not { reason } => {
                    counter!(NOT_INLINED, "reason" => label::not_inlined(reason)).increment(1);
                }
            }
        }

        #[allow(clippy::unused_self)]
        pub(crate) fn orphans(&self, orphans: u64) {
            counter!(ORPHANS).increment(orphans);
        }

        #[allow(clippy::unused_self)]
        pub(crate) fn create_took(&self, time: Duration) {
            histogram!(CREATE_DURATION).record(time);
        }
    }

    fn operation(call: Call) -> &'static str {
        match call {
            Call::Create => "create",
            Call::Delete => "delete",
            Call::Get => "get",
        }
    }

    fn describe() {
        let count = |name, text| describe_counter!(name, Unit::Count, text);
        count(
            CREATES,
            "Creates that succeeded or failed, renewals included.",
        );
        count(
            ADOPTED,
            "Sessions of other processes that this one adopted.",
        );
        count(CONFIRMED, "Answers that name the chain of their session.");
        count(
            WRONG_DEFAULTS,
            "Answers that were withheld, because they name another chain than their session has.",
        );
        count(
            DELETED,
            "Sessions that are gone from the server, by whether it had lost them before.",
        );
        count(
            LATE_ANSWERS,
            "Answers that came after the session of their request had ended.",
        );
        count(
            LEFT_TO_EXPIRE,
            "Sessions that were left to expire on the server.",
        );
        count(
            ORPHANS,
            "Creates whose outcome is unknown; each may have left a session.",
        );
        count(
            OUTSIDE,
            "Requests outside of the base URL that look like requests to Sipher.",
        );
        count(INLINED, "Requests whose body names all defaults.");
        count(
            NOT_INLINED,
            "Requests whose body could not be given the defaults, by reason.",
        );
        count(
            REFUSED_FOR_BUDGET,
            "Requests that got no session because the call budget or all places were used up.",
        );
        count(RETIRED, "Sessions that were retired, by reason.");
        count(
            SENT_WITHOUT,
            "Requests that were sent without a session, as configured.",
        );
        count(
            SESSION_CALLS,
            "Calls to /v1/sessions that the manager made.",
        );
        describe_gauge!(
            LIVE,
            Unit::Count,
            "Sessions that the manager puts on requests."
        );
        describe_histogram!(
            CREATE_DURATION,
            Unit::Seconds,
            "Time from the start of a create to its end, with all waits and retries."
        );
    }
}

#[cfg(not(feature = "metrics"))]
mod off {
    use std::{sync::Arc, time::Duration};

    use crate::{
        clock::Clock,
        driver::observe::Call,
        model::{event::Event, inlining::Inlined},
    };

    #[derive(Debug)]
    pub(crate) struct Meter;

    #[allow(clippy::unused_self)] // takes `self` like the one that records
    impl Meter {
        pub(crate) fn new(_: Arc<dyn Clock>) -> Self {
            Self
        }

        pub(crate) fn event(&self, _: &Event) {}

        pub(crate) fn session_call(&self, _: Call) {}

        pub(crate) fn sent_without(&self) {}

        pub(crate) fn refused_for_budget(&self) {}

        pub(crate) fn late_answer(&self) {}

        pub(crate) fn wrong_defaults(&self) {}

        pub(crate) fn confirmed(&self) {}

        pub(crate) fn outside(&self) {}

        pub(crate) fn inlined(&self, _: Inlined) {}

        pub(crate) fn orphans(&self, _: u64) {}

        pub(crate) fn create_took(&self, _: Duration) {}
    }
}
