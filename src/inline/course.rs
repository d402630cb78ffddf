//! What a request does next, once its session is chosen.
//!
//! The session layer chooses the session of a request, and so its defaults. This module passes that decision to the
//! merge, wherever the body is: in this layer, in a stream that has to be collected, or in the layer below.

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

/// The layers around a request.
#[derive(Clone, Copy)]
pub(crate) struct Stack<'a> {
    pub(crate) manager: &'a SessionManager,
    /// Whether a layer below has shown that it puts defaults into bodies.
    pub(crate) has_inline_layer: bool,
}

/// What happens to a request next.
pub(crate) enum Course {
    /// The request is ready to be sent.
    Send(InFlightRequest),
    /// The request is ready for the layer below, which does the rest.
    HandDown(Handoff),
    /// The request has to wait for a session. Pass the outcome to [`admitted`].
    Wait(Waiting),
}

/// Decides what happens to a request that the session layer has admitted. Most such requests have a session.
///
/// # Errors
///
/// Returns an error if the body cannot get the defaults in the way that the settings ask for. The request is then not
/// sent.
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
        // The inline layer below must learn that a session layer has decided about this request.
        if setting != InlineDefaults::Off && matches!(request.carried(), Carried::Below) {
            request.hand_down(Handoff::new(manager, Decision::Untouched));
        }
        return Ok(Course::Send(unsent.send()));
    };
    if is_below(request) {
        // If no inline layer has shown itself, there may be none below that puts the defaults in.
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

/// Decides what happens to a request for which there is no usable session yet.
///
/// # Errors
///
/// The errors of [`beside`], and [`ErrorKind::Shutdown`].
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

/// Decides what happens to a request once its first wait is over.
///
/// # Errors
///
/// The errors of [`beside`] and [`instead`].
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
        // The request waits again: its defaults are known only now.
        Admission::Wait(waiting) => instead(stack, request, waiting, unread),
    }
}

/// Decides again about a request after its body was read. Meanwhile its session may have been created or replaced.
///
/// # Errors
///
/// The errors of [`instead`].
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

/// Returns whether a layer below has to look at the body.
fn is_below<R: Carrier>(request: &R) -> bool {
    matches!(request.carried(), Carried::Below) && head::reading(request.headers()) == Reading::Json
}

/// With `strict`, refuses a body that would get its defaults only through a session.
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

/// The decision that an inline layer finds on a request.
pub(super) enum Found {
    /// The body must not change.
    Untouched,
    /// The body is to be merged with the defaults of this session.
    Session(Handoff, Unsent),
    /// The body is to be merged, but there is no session yet.
    Open(Handoff, Waiting),
    /// A decision that was used before, because the request is sent a second time.
    Used,
    Nothing,
}

/// Takes the decision that a session layer of this manager left on the request.
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
