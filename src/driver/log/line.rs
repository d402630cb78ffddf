//! The log line of each event.

use std::{fmt::Write, time::Duration};

use tracing::{Level, field};

use super::{TARGET, short::short};
use crate::{
    api::{SessionDefaults, scrub},
    driver::label,
    error::{Error, ErrorKind},
    model::{event::Event, report::ShutdownReport, session_ref::SessionRef},
    secret::Fingerprint,
};

macro_rules! log {
    ($level:ident, $message:literal $(, $($fields:tt)*)?) => {
        tracing::event!(target: TARGET, Level::$level, $($($fields)*,)? $message)
    };
}

/// Logs a line about a session.
macro_rules! log_session {
    ($level:ident, $message:literal, $session:ident $(, $($fields:tt)*)?) => {
        log!(
            $level,
            $message,
            session = %$session.fingerprint,
            generation = $session.generation,
            api_key = %$session.api_key
            $(, $($fields)*)?
        )
    };
}

/// Logs a line with the details of an error.
macro_rules! log_error {
    ($level:ident, $message:literal, $error:expr $(, $($fields:tt)*)?) => {
        log!(
            $level,
            $message,
            $($($fields)*,)?
            kind = $error.map(|error| field::debug(error.kind())),
            code = $error.and_then(Error::code),
            status = $error.and_then(Error::status).map(|status| status.as_u16()),
            request_id = $error.and_then(Error::request_id),
            retry_after = $error.and_then(Error::retry_after).map(|after| after.as_secs_f64()),
            next_attempt_in = $error.and_then(Error::next_attempt_in).map(|after| after.as_secs_f64()),
            error = $error.map(text)
        )
    };
}

#[allow(clippy::too_many_lines)] // the function is a table
pub(super) fn event(event: &Event) {
    match event {
        Event::Created {
            session,
            defaults,
            replaces,
            usable_for,
        } => log_session!(
            DEBUG,
            "session created",
            session,
            defaults = short(defaults),
            replaces = replaces.map(|before| field::display(before.fingerprint)),
            usable_for = usable_for.as_secs_f64()
        ),
        Event::ServerDown { error } => log_error!(WARN, "server down", Some(error)),
        Event::ServerUp { lasted } => {
            log!(INFO, "server up", lasted = lasted.as_secs_f64());
        }
        Event::CreateFailed {
            api_key,
            defaults,
            error,
        } => create_failed(*api_key, defaults, error),
        Event::RenewalFailed {
            session,
            usable_for,
            error,
        } => log_error!(
            WARN,
            "renewal failed",
            Some(error),
            session = %session.fingerprint,
            generation = session.generation,
            api_key = %session.api_key,
            usable_for = usable_for.as_secs_f64()
        ),
        Event::PossibleOrphan {
            api_key,
            defaults,
            error,
        } => log_error!(
            WARN,
            "possible orphan",
            error.as_ref(),
            api_key = %api_key,
            defaults = short(defaults)
        ),
        Event::SendingWithout { api_key, error } => log_error!(
            WARN,
            "sending without a session",
            Some(error),
            api_key = %api_key
        ),
        // If there is no session, the failure that caused the suspicion says all that matters.
        Event::Suspected { live_sessions: 0 } => {
            log!(DEBUG, "sessions suspected", live_sessions = 0);
        }
        Event::Suspected { live_sessions } => {
            log!(WARN, "sessions suspected", live_sessions);
        }
        Event::Verified { session } => log_session!(DEBUG, "session verified", session),
        Event::CheckFailed { session, error } => log_error!(
            WARN,
            "check failed",
            Some(error),
            session = %session.fingerprint,
            generation = session.generation,
            api_key = %session.api_key
        ),
        Event::Lost {
            session,
            unknown_for,
            requests,
        } => log_session!(
            WARN,
            "session lost",
            session,
            unknown_for = unknown_for.as_secs_f64(),
            requests
        ),
        Event::WrongDefaults {
            session,
            expected,
            answered,
        } => log_session!(
            WARN,
            "wrong defaults",
            session,
            expected = expected.as_str(),
            answered = answered.as_str()
        ),
        Event::Leaked {
            session,
            api_key,
            to,
        } => log!(
            WARN,
            "leaked",
            session = session.map(|session| field::display(session.fingerprint)),
            generation = session.map(|session| session.generation),
            api_key = %api_key,
            to
        ),
        Event::Outside {
            origin,
            base,
            reason,
        } => log!(
            WARN,
            "request outside of the base URL",
            origin,
            base,
            reason = label::outside(*reason)
        ),
        Event::Adopted {
            session,
            replaces: Some(_),
            ..
        } => log_session!(DEBUG, "session of the fleet replaced", session),
        Event::Adopted { session, .. } => {
            log_session!(DEBUG, "session of the fleet taken up", session);
        }
        Event::LeftToOthers { session } => {
            log_session!(DEBUG, "session left to the fleet", session);
        }
        Event::RecordRefused { slot } => {
            log!(WARN, "record in the shared store refused", slot);
        }
        Event::StoreDown { error } => log_error!(WARN, "shared store down", Some(error)),
        Event::StoreUp => log!(INFO, "shared store up"),
        Event::Late { session } => log_session!(WARN, "late answer", session),
        Event::UnknownDefault { session, name } => log_session!(
            DEBUG,
            "unknown default",
            session,
            default = scrub::text(name, &[])
        ),
        Event::Retired { session, reason } => log_session!(
            DEBUG,
            "session retired",
            session,
            reason = label::reason(*reason)
        ),
        Event::Deleted {
            session,
            already_gone,
        } => log_session!(DEBUG, "session deleted", session, already_gone),
        Event::Crowded { max_sessions } => log!(WARN, "crowded", max_sessions),
        Event::BudgetUsedUp { next_call_in } => {
            let next_call_in = next_call_in.as_secs_f64();
            log!(WARN, "budget used up", next_call_in);
        }
        Event::BudgetFree { lasted } => {
            log!(INFO, "budget free again", lasted = lasted.as_secs_f64());
        }
        Event::DeletesPending { pending } => log!(WARN, "deletes pending", pending),
        Event::LeftToExpire {
            session,
            left,
            error,
        } => left_to_expire(session, *left, error.as_ref()),
        Event::Abandoned {
            left_to_expire,
            possible_orphans,
        } => log!(WARN, "abandoned", left_to_expire, possible_orphans),
        Event::NotInlined { reason } => {
            log!(
                WARN,
                "defaults not put into the body",
                reason = label::not_inlined(*reason)
            );
        }
        // Only a receiver that was too slow gets this event. It never comes here.
        Event::Missed { .. } => {}
    }
}

/// Logs a failed create. During a shutdown, failures are expected, so they are logged at `DEBUG`.
fn create_failed(api_key: Fingerprint, defaults: &SessionDefaults, error: &Error) {
    macro_rules! failed {
        ($level:ident) => {
            log_error!(
                $level,
                "create failed",
                Some(error),
                api_key = %api_key,
                defaults = short(defaults)
            )
        };
    }
    if error.kind() == ErrorKind::Shutdown {
        failed!(DEBUG);
    } else {
        failed!(WARN);
    }
}

fn left_to_expire(session: &SessionRef, left: Duration, error: Option<&Error>) {
    match error {
        None => log_session!(
            DEBUG,
            "session left to expire",
            session,
            left = left.as_secs_f64()
        ),
        error => log_error!(
            WARN,
            "session left to expire",
            error,
            session = %session.fingerprint,
            generation = session.generation,
            api_key = %session.api_key,
            left = left.as_secs_f64()
        ),
    }
}

pub(super) fn report(report: &ShutdownReport) {
    macro_rules! report {
        ($level:ident) => {
            log!(
                $level,
                "shut down",
                deleted = report.deleted,
                already_gone = report.already_gone,
                left_to_expire = report.left_to_expire,
                failed = report.failed,
                possible_orphans = report.possible_orphans
            )
        };
    }
    let left = report.left_to_expire + report.failed;
    if left == 0 && report.possible_orphans == 0 {
        report!(INFO);
    } else {
        report!(WARN);
    }
}

/// Returns the text of an error with its causes. Texts of other crates were scrubbed when the error was made.
fn text(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.cause();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}
