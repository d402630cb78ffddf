//! The layer as a tower service: what it owes to the service below it, and to whoever calls it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // tests read time, and helpers are tests too

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

/// A manager that has its session already, so that the next request is a hit.
async fn warm(setup: &Setup) -> SessionManager {
    let manager = setup.manager();
    manager.session().await.unwrap();
    manager
}

/// One layer whose next request has to wait for a session, and one whose next request finds it there.
async fn miss_and_hit(setup: &Setup) -> [SessionLayer; 2] {
    [setup.manager(), warm(setup).await].map(SessionLayer::new)
}

/// Waits until the service is ready, and calls that very one.
async fn begin<S>(service: &mut S, call: Call) -> S::Future
where
    S: Service<Call, Error: Debug>,
{
    service.ready().await.unwrap().call(call)
}
