//! Events in words, for the status page.
//!
//! Each text is made of fingerprints, chains, numbers and messages of errors. None of them is secret. `Debug` is not
//! used: it may show more in a later version.

use std::time::Duration;

use sipher_session::{Event, RetireReason, SessionDefaults, SessionRef};

/// Returns the name of an event, and what it says.
pub(crate) fn of(event: &Event) -> (&'static str, String) {
    match event {
        Event::Created {
            session,
            defaults,
            replaces,
            usable_for,
            ..
        } => (
            "created",
            begins(*session, defaults, *replaces, *usable_for),
        ),
        Event::Adopted {
            session,
            defaults,
            replaces,
            usable_for,
            ..
        } => (
            "adopted",
            begins(*session, defaults, *replaces, *usable_for),
        ),
        Event::LeftToOthers { session, .. } => ("left_to_others", named(*session)),
        Event::RecordRefused { slot, .. } => ("record_refused", format!("record {slot}")),
        Event::StoreDown { error, .. } => ("store_down", error.to_string()),
        Event::StoreUp => ("store_up", String::new()),
        Event::ServerDown { error, .. } => ("server_down", error.to_string()),
        Event::ServerUp { lasted, .. } => ("server_up", format!("after {}", time(*lasted))),
        Event::CreateFailed { api_key, error, .. } => {
            ("create_failed", format!("key {api_key}: {error}"))
        }
        Event::RenewalFailed {
            session,
            usable_for,
            error,
            ..
        } => {
            let left = time(*usable_for);
            (
                "renewal_failed",
                format!("{}, {left} left: {error}", named(*session)),
            )
        }
        Event::PossibleOrphan { api_key, error, .. } => {
            let error = error.as_ref().map(|error| format!(": {error}"));
            let error = error.unwrap_or_default();
            ("possible_orphan", format!("key {api_key}{error}"))
        }
        Event::SendingWithout { api_key, error, .. } => {
            ("sending_without", format!("key {api_key}: {error}"))
        }
        Event::Suspected { live_sessions, .. } => {
            ("suspected", format!("{live_sessions} sessions may be lost"))
        }
        Event::Verified { session, .. } => ("verified", named(*session)),
        Event::CheckFailed { session, error, .. } => {
            ("check_failed", format!("{}: {error}", named(*session)))
        }
        Event::Lost {
            session,
            unknown_for,
            requests,
            ..
        } => {
            let (session, time) = (named(*session), time(*unknown_for));
            (
                "lost",
                format!("{session}, {requests} requests in the last {time}"),
            )
        }
        Event::WrongDefaults {
            session,
            expected,
            answered,
            ..
        } => {
            let session = named(*session);
            (
                "wrong_defaults",
                format!("{session}: {answered} instead of {expected}"),
            )
        }
        Event::Late { session, .. } => ("late", named(*session)),
        Event::Leaked { api_key, to, .. } => ("leaked", format!("key {api_key} to {to}")),
        Event::Outside { origin, .. } => ("outside", origin.clone()),
        Event::UnknownDefault { session, name, .. } => {
            ("unknown_default", format!("{}: {name}", named(*session)))
        }
        Event::Retired {
            session, reason, ..
        } => ("retired", format!("{}: {}", named(*session), why(*reason))),
        Event::Deleted { session, .. } => ("deleted", named(*session)),
        Event::LeftToExpire { session, left, .. } => (
            "left_to_expire",
            format!("{}, in {}", named(*session), time(*left)),
        ),
        _ => of_manager(event),
    }
}

fn of_manager(event: &Event) -> (&'static str, String) {
    match event {
        Event::Crowded { max_sessions, .. } => (
            "crowded",
            format!("more than {max_sessions} sessions are in use"),
        ),
        Event::BudgetUsedUp { next_call_in, .. } => (
            "budget_used_up",
            format!("next call in {}", time(*next_call_in)),
        ),
        Event::BudgetFree { lasted, .. } => ("budget_free", format!("after {}", time(*lasted))),
        Event::DeletesPending { pending, .. } => ("deletes_pending", format!("{pending} sessions")),
        Event::Abandoned { left_to_expire, .. } => {
            ("abandoned", format!("{left_to_expire} sessions"))
        }
        Event::NotInlined { reason, .. } => ("not_inlined", reason.to_string()),
        Event::Missed { events, .. } => ("missed", format!("{events} events are not shown")),
        _ => ("other", String::new()),
    }
}

fn begins(
    session: SessionRef,
    defaults: &SessionDefaults,
    replaces: Option<SessionRef>,
    usable_for: Duration,
) -> String {
    let chain = defaults.chain.as_ref().map(|chain| format!(" for {chain}"));
    let instead = replaces.map(|older| format!(", replaces {}", older.fingerprint));
    format!(
        "{}{}, {} to use{}",
        named(session),
        chain.unwrap_or_default(),
        time(usable_for),
        instead.unwrap_or_default()
    )
}

fn named(session: SessionRef) -> String {
    format!("session {} of key {}", session.fingerprint, session.api_key)
}

fn time(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

fn why(reason: RetireReason) -> &'static str {
    match reason {
        RetireReason::Changed => "key or defaults were changed",
        RetireReason::Evicted => "max_sessions was reached",
        RetireReason::Fenced => "its create was given up",
        RetireReason::Invalidated => "it was invalidated",
        RetireReason::Lapsed => "the store could not be reached",
        RetireReason::Leaked => "its id leaked",
        RetireReason::Lost => "the server lost it",
        RetireReason::Replaced => "it was renewed",
        RetireReason::Revoked => "another process ended it",
        RetireReason::Shutdown => "shutdown",
        RetireReason::WrongAnswer => "the server created something else",
        _ => "for a reason that this version does not know",
    }
}
