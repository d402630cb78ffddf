//! The layer as a tower service: its duties towards the service below it and towards its callers.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // for the helper functions, which also read virtual time

#[path = "../support/mod.rs"]
mod support;

mod bounds;
mod by_hand;
mod errors;
mod foreign_ids;
mod memory;
mod not_send;
mod orders;
mod outside;
mod proof;
mod readiness;
mod replay;
mod request;
mod several;
mod shape;
mod stack;
#[cfg(feature = "reqwest-middleware")]
mod waits;

use std::fmt::Debug;

use sipher_session::{SessionLayer, SessionManager};
use support::{Call, Setup};
use tower::{Service, ServiceExt};

/// Returns a manager that already has a session, so the next request is a hit.
async fn warm(setup: &Setup) -> SessionManager {
    let manager = setup.manager();
    manager.session().await.unwrap();
    manager
}

/// Returns a layer whose next request waits for a session, and one whose next request is a hit.
async fn miss_and_hit(setup: &Setup) -> [SessionLayer; 2] {
    [setup.manager(), warm(setup).await].map(SessionLayer::new)
}

/// Waits until the service is ready, and calls this service and not a clone.
async fn begin<S>(service: &mut S, call: Call) -> S::Future
where
    S: Service<Call, Error: Debug>,
{
    service.ready().await.unwrap().call(call)
}
