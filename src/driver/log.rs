//! What happens, for `tracing`. Names, fields and levels are documented in [`crate::observability`] and stable.
//!
//! Without the feature everything in here does nothing, so that no call site has to ask.

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

/// Not the module path, so that filters outlive a move of the code.
#[cfg(feature = "tracing")]
const TARGET: &str = "sipher_session";

/// Where something happens.
#[cfg(not(feature = "tracing"))]
#[derive(Debug)]
pub(crate) struct Span;

#[cfg(not(feature = "tracing"))]
impl Span {
    pub(crate) fn current() -> Self {
        Self
    }
}

/// Logs what has happened there.
pub(crate) fn event(event: &Event, span: &Span) {
    #[cfg(feature = "tracing")]
    span.in_scope(|| line::event(event));
}

pub(crate) fn report(report: &ShutdownReport) {
    #[cfg(feature = "tracing")]
    line::report(report);
}

/// The create under way makes its next call.
pub(crate) fn tries(tries: u32) {
    #[cfg(feature = "tracing")]
    Span::current().record("tries", tries);
}

/// The task of a create: not a part of whatever request began it, which may be over long before.
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

/// A task that is a part of the one that starts it.
pub(crate) fn within<F: Future>(task: F) -> impl Future<Output = F::Output> + use<F> {
    #[cfg(feature = "tracing")]
    let task = task.in_current_span();
    task
}

/// A task that is no part of the one that starts it.
#[cfg(feature = "tracing")]
fn apart<F: Future>(span: Span, task: F) -> impl Future<Output = F::Output> + use<F> {
    span.follows_from(Span::current());
    task.instrument(span)
}
