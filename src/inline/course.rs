//! How a request goes on, once what becomes of its session is decided.
//!
//! The session layer decides which session a request gets, and so which defaults. Here that decision is told to the merge,
//! wherever the body is: at hand, still to be collected, or with the layer below.

use http::Extensions;

use super::{
    InlineDefaults, Inlined, NotInlined,
    carrier::{Carried, Carrier, put},
    handoff::{Decision, Handoff},
    head::{self, Reading},
};
use crate::{
    error::{Error, ErrorKind},
    headers::SESSION_ID,
    manager::{
        SessionManager,
        in_flight::{InFlightRequest, Unsent},
        waiting::Waiting,
    },
};

/// What is to be done with a request.
pub(crate) enum Course {
    /// It is ready to be sent.
    Send(InFlightRequest),
    /// It is ready for the layer below, which sees to the rest.
    HandDown(Handoff),
    /// It needs a session first; then [`beside`].
    Wait(Waiting),
}

/// A request that has what it was to get: most of them a session.
///
/// # Errors
///
/// Where its body cannot be as asked for. It is then not to be sent.
pub(crate) fn beside<R: Carrier>(
    manager: &SessionManager,
    request: &mut R,
    in_flight: InFlightRequest,
    unread: Option<NotInlined>,
) -> Result<Course, Error> {
    let setting = manager.core().settings.inline.defaults;
    let unsent = Unsent::from(in_flight);
    let Some(defaults) = unsent
        .defaults()
        .filter(|_| setting == InlineDefaults::Always)
    else {
        // The layer below has to know that this was decided.
        if matches!(request.carried(), Carried::Below) {
            request.hand_down(Handoff::new(manager, Decision::Untouched));
        }
        return Ok(Course::Send(unsent.send()));
    };
    if is_below(manager, request) {
        let handoff = Handoff::new(manager, Decision::Bears(unsent.send()));
        request.hand_down(handoff.clone());
        return Ok(Course::HandDown(handoff));
    }
    let inlined = put(request, &defaults, unread)?;
    may_go(manager, inlined)?;
    let in_flight = unsent.send();
    in_flight.note(inlined);
    Ok(Course::Send(in_flight))
}

/// A request for which there is no session at hand.
///
/// # Errors
///
/// Those of [`beside`]; and [`ErrorKind::Shutdown`].
pub(crate) fn instead<R: Carrier>(
    manager: &SessionManager,
    request: &mut R,
    waiting: Waiting,
    unread: Option<NotInlined>,
) -> Result<Course, Error> {
    let Some(defaults) = waiting.defaults() else {
        return Ok(Course::Wait(waiting));
    };
    if is_below(manager, request) {
        let handoff = Handoff::new(manager, Decision::Open(waiting));
        request.hand_down(handoff.clone());
        return Ok(Course::HandDown(handoff));
    }
    let inlined = put(request, &defaults, unread)?;
    if inlined.needs_no_session() {
        let in_flight = waiting.go_without()?;
        in_flight.note(inlined);
        return Ok(Course::Send(in_flight));
    }
    may_go(manager, inlined)?;
    Ok(Course::Wait(waiting.unless_inlined(inlined)))
}

/// A request whose body was read before it has a session: one may have come meanwhile.
///
/// # Errors
///
/// Those of [`instead`].
pub(super) fn anew<R: Carrier>(
    manager: &SessionManager,
    request: &mut R,
    waiting: Option<Waiting>,
    unread: Option<NotInlined>,
) -> Result<Course, Error> {
    let headers = request.headers_mut();
    headers.remove(SESSION_ID);
    let Some(waiting) = waiting else {
        return Ok(Course::Send(InFlightRequest::default()));
    };
    match waiting.session_at_hand() {
        Some(in_flight) => {
            in_flight.inject(headers);
            beside(manager, request, in_flight, unread)
        }
        None => instead(manager, request, waiting, unread),
    }
}

/// Whether a layer below sees to the body.
fn is_below<R: Carrier>(manager: &SessionManager, request: &R) -> bool {
    matches!(request.carried(), Carried::Below)
        && manager.core().has_inline_layer()
        && head::reading(request.headers()) == Reading::Json
}

/// `strict` refuses what only a session would bring the defaults to.
fn may_go(manager: &SessionManager, inlined: Inlined) -> Result<(), Error> {
    match inlined {
        Inlined::Not { reason }
            if !reason.is_servers() && manager.core().settings.inline.strict =>
        {
            Err(refused(reason))
        }
        _ => Ok(()),
    }
}

/// Where nothing but the body may bring the defaults.
#[cold]
pub(crate) fn refused(reason: NotInlined) -> Error {
    let text = format!(
        "its defaults cannot be put into its body: {reason}; expected a plain JSON object in UTF-8"
    );
    Error::new(ErrorKind::InvalidRequest, text)
}

/// Takes out what the session layer has decided about a request.
pub(super) fn decision(
    extensions: &mut Extensions,
    manager: &SessionManager,
) -> Option<(Handoff, Decision)> {
    let handoff = extensions.remove::<Handoff>()?;
    let decision = handoff.take(manager)?;
    Some((handoff, decision))
}
