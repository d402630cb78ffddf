//! Logs for `tracing`. [`crate::observability`] documents the names, fields and levels, which are stable.
//!
//! Without the feature `tracing`, everything here does nothing, so that the callers need no `cfg`.

#![cfg_attr(not(feature = "tracing"), allow(unused_variables))]

#[cfg(feature = "tracing")]
mod line;
#[cfg(feature = "tracing")]
mod short;

use std::time::Duration;

#[cfg(feature = "tracing")]
pub(crate) use tracing::Span;
#[cfg(feature = "tracing")]
use tracing::{Instrument, field::Empty, info_span};

use crate::model::{
    event::Event, partition::Partition, report::ShutdownReport, session_ref::SessionRef,
};
#[cfg(feature = "tracing")]
use crate::secret::Fingerprint;

/// The target of all log lines and spans. It is not the module path, so that users' filters still work when the code
/// moves.
#[cfg(feature = "tracing")]
const TARGET: &str = "sipher_session";

/// Takes the place of `tracing::Span` without the feature `tracing`.
#[cfg(not(feature = "tracing"))]
#[derive(Debug)]
pub(crate) struct Span;

#[cfg(not(feature = "tracing"))]
impl Span {
    pub(crate) fn current() -> Self {
        Self
    }
}

/// Logs an event in the span where it happened.
pub(crate) fn event(event: &Event, span: &Span) {
    #[cfg(feature = "tracing")]
    span.in_scope(|| line::event(event));
}

pub(crate) fn report(report: &ShutdownReport) {
    #[cfg(feature = "tracing")]
    line::report(report);
}

/// Records that the create makes its next call.
pub(crate) fn tries(tries: u32) {
    #[cfg(feature = "tracing")]
    Span::current().record("tries", tries);
}

/// Runs the task of a create in a span of its own. It is no child of the span of the request that began the create,
/// because that request may end earlier.
pub(crate) fn create<F: Future>(
    generation: u64,
    partition: &Partition,
    task: F,
) -> impl Future<Output = F::Output> + use<F> {
    #[cfg(feature = "tracing")]
    let task = apart(
        info_span!(
            target: TARGET,
            parent: None,
            "sipher_session::create",
            generation,
            api_key = %Fingerprint::of(partition.key.expose()),
            tries = Empty
        ),
        task,
    );
    task
}

pub(crate) fn delete<F: Future>(
    session: &SessionRef,
    call: F,
) -> impl Future<Output = F::Output> + use<F> {
    #[cfg(feature = "tracing")]
    let call = call.instrument(info_span!(
        target: TARGET,
        "sipher_session::delete",
        session = %session.fingerprint,
        generation = session.generation,
        api_key = %session.api_key
    ));
    call
}

pub(crate) fn shutdown<F: Future>(
    deadline: Duration,
    task: F,
) -> impl Future<Output = F::Output> + use<F> {
    #[cfg(feature = "tracing")]
    let task = apart(
        info_span!(
            target: TARGET,
            parent: None,
            "sipher_session::shutdown",
            deadline = deadline.as_secs_f64()
        ),
        task,
    );
    task
}

/// Runs a task in the current span.
pub(crate) fn within<F: Future>(task: F) -> impl Future<Output = F::Output> + use<F> {
    #[cfg(feature = "tracing")]
    let task = task.in_current_span();
    task
}

/// Runs a task in a span of its own, which follows from the current span but is not its child.
#[cfg(feature = "tracing")]
fn apart<F: Future>(span: Span, task: F) -> impl Future<Output = F::Output> + use<F> {
    span.follows_from(Span::current());
    task.instrument(span)
}
