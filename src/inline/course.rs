//! How a request goes on, once what becomes of its session is decided.
//!
//! The session layer decides which session a request gets, and so which defaults. This module passes that decision to the merge,
//! wherever the body is: at hand, still to be collected, or with the layer below.

use http::Extensions;

use super::{
    carrier::{Carried, Carrier, put},
    handoff::{Decision, Handoff},
    head,
    head::Reading,
};
use crate::{
    error::Error,
    front::{
        admit::Admission,
        in_flight::{InFlightRequest, Unsent},
        manager::SessionManager,
        waiting::{Waiting, not_inlined},
    },
    headers::SESSION_ID,
    model::inlining::{InlineDefaults, Inlined, NotInlined},
};

/// Where a request is decided about.
#[derive(Clone, Copy)]
pub(crate) struct Stack<'a> {
    pub(crate) manager: &'a SessionManager,
    /// Whether a layer below sees to bodies, and has shown itself.
    pub(crate) has_inline_layer: bool,
}

/// What is to be done with a request.
pub(crate) enum Course {
    /// It is ready to be sent.
    Send(InFlightRequest),
    /// It is ready for the layer below, which sees to the rest.
    HandDown(Handoff),
    /// It has to wait; then [`admitted`].
    Wait(Waiting),
}

/// A request that has what it was to get: most of them a session.
///
/// # Errors
///
/// Where its body cannot be as asked for. It is then not to be sent.
pub(crate) fn beside<R: Carrier>(
    stack: Stack<'_>,
    request: &mut R,
    in_flight: InFlightRequest,
    unread: Option<NotInlined>,
) -> Result<Course, Error> {
    let manager = stack.manager;
    let setting = manager.core().settings.inline.defaults;
    let unsent = Unsent::from(in_flight);
    let Some(defaults) = unsent
        .defaults()
        .filter(|_| setting == InlineDefaults::Always)
    else {
        // The layer below has to know that this was decided.
        if setting != InlineDefaults::Off && matches!(request.carried(), Carried::Below) {
            request.hand_down(Handoff::new(manager, Decision::Untouched));
        }
        return Ok(Course::Send(unsent.send()));
    };
    if is_below(request) {
        // Nobody may be there to see it, unless one has shown itself.
        if !stack.has_inline_layer {
            may_go(manager, NotInlined::NoLayer.into())?;
        }
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
    stack: Stack<'_>,
    request: &mut R,
    waiting: Waiting,
    unread: Option<NotInlined>,
) -> Result<Course, Error> {
    let manager = stack.manager;
    let Some(defaults) = waiting.defaults() else {
        return Ok(Course::Wait(waiting));
    };
    if is_below(request) && stack.has_inline_layer {
        let waiting = waiting.see_to_one();
        let handoff = Handoff::new(manager, Decision::Open(waiting));
        request.hand_down(handoff.clone());
        return Ok(Course::HandDown(handoff));
    }
    let inlined = put(request, &defaults, unread)?;
    let method = request.method_and_path().map(|(method, _)| method);
    if inlined.needs_no_session(method) {
        let in_flight = waiting.go_without()?;
        in_flight.note(inlined);
        return Ok(Course::Send(in_flight));
    }
    may_go(manager, inlined)?;
    Ok(Course::Wait(waiting.unless_inlined(inlined)))
}

/// A request that has waited.
///
/// # Errors
///
/// Those of [`beside`] and [`instead`].
pub(crate) fn admitted<R: Carrier>(
    stack: Stack<'_>,
    request: &mut R,
    admission: Admission,
    unread: Option<NotInlined>,
) -> Result<Course, Error> {
    match admission {
        Admission::Send(in_flight) => {
            let in_flight = in_flight.put_into(request.headers_mut())?;
            beside(stack, request, in_flight, unread)
        }
        // Its defaults are known by now.
        Admission::Wait(waiting) => instead(stack, request, waiting, unread),
    }
}

/// A request whose body was read before it has a session: one may have come meanwhile.
///
/// # Errors
///
/// Those of [`instead`].
pub(super) fn anew<R: Carrier>(
    stack: Stack<'_>,
    request: &mut R,
    waiting: Option<Waiting>,
    unread: Option<NotInlined>,
) -> Result<Course, Error> {
    request.headers_mut().remove(SESSION_ID);
    let Some(waiting) = waiting else {
        return Ok(Course::Send(InFlightRequest::default()));
    };
    let admission = match waiting.session_at_hand() {
        Some(in_flight) => Admission::Send(in_flight),
        None => Admission::Wait(waiting),
    };
    admitted(stack, request, admission, unread)
}

/// Whether the body is for a layer below to look at.
fn is_below<R: Carrier>(request: &R) -> bool {
    matches!(request.carried(), Carried::Below) && head::reading(request.headers()) == Reading::Json
}

/// `strict` refuses what only a session would bring the defaults to.
fn may_go(manager: &SessionManager, inlined: Inlined) -> Result<(), Error> {
    match inlined {
        Inlined::Not { reason }
            if !reason.is_servers() && manager.core().settings.inline.strict =>
        {
            Err(not_inlined(manager, reason))
        }
        _ => Ok(()),
    }
}

/// What an inline layer finds on a request.
pub(super) enum Found {
    /// The body stays as it is.
    Untouched,
    /// It is merged with the defaults of this session.
    Session(Handoff, Unsent),
    /// The same, and there is no session yet.
    Open(Handoff, Waiting),
    /// A decision that was carried out before: the request is sent a second time.
    Used,
    Nothing,
}

/// Takes out what a session layer of this manager has decided about a request.
pub(super) fn decision(extensions: &mut Extensions, manager: &SessionManager) -> Found {
    let handoff = extensions
        .get::<Handoff>()
        .filter(|handoff| handoff.is_of(manager));
    let Some(handoff) = handoff.cloned() else {
        return Found::Nothing;
    };
    extensions.remove::<Handoff>();
    match handoff.take() {
        Some(Decision::Untouched) => Found::Untouched,
        Some(Decision::Bears(request)) => Found::Session(handoff, request.into()),
        Some(Decision::Open(waiting)) => Found::Open(handoff, waiting),
        None => Found::Used,
    }
}
