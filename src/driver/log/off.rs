//! Without the feature `tracing`.

use std::time::Duration;

use crate::model::{
    event::Event, partition::Partition, report::ShutdownReport, session_ref::SessionRef,
};

/// Where something happens.
#[derive(Debug)]
pub(crate) struct Span;

pub(crate) fn span() -> Span {
    Span
}

pub(crate) fn event(_: &Event, _: &Span) {}

pub(crate) fn report(_: &ShutdownReport) {}

pub(crate) fn tries(_: u32) {}

pub(crate) fn create<F: Future>(_: u64, _: &Partition, task: F) -> F {
    task
}

pub(crate) fn delete<F: Future>(_: &SessionRef, call: F) -> F {
    call
}

pub(crate) fn shutdown<F: Future>(_: Duration, task: F) -> F {
    task
}

pub(crate) fn within<F: Future>(task: F) -> F {
    task
}
