//! A request brings the id of a session that another process of the fleet has created.

use sipher_session::ErrorKind;
use tower::ServiceExt;

use crate::{
    processes::{Fleet, Process},
    support::{Call, generate, ours, pass},
};

fn with_id(id: &str) -> Call {
    let mut request = generate();
    let headers = request.headers_mut();
    headers.insert("x-session-id", id.parse().unwrap());
    request
}

/// Returns the id of the fleet's session. The process that created it has ended, so only the store knows the session.
async fn id_in_the_store(fleet: &mut Fleet) -> String {
    let maker = fleet.start();
    let id = fleet.call(std::slice::from_ref(&maker)).await.remove(0);
    drop(maker);
    pass(1.0).await;
    id
}

async fn send(fleet: &Fleet, process: &Process, id: &str) -> Result<String, ErrorKind> {
    let service = fleet.setup.service(&process.manager);
    match service.oneshot(with_id(id)).await {
        Ok(_) => Ok(fleet.setup.last_id().unwrap()),
        Err(error) => Err(ours(&error).kind()),
    }
}

#[tokio::test(start_paused = true)]
async fn the_id_of_the_fleets_session_is_known_to_a_process_that_has_not_adopted_it_yet() {
    let mut fleet = Fleet::new();
    let id = id_in_the_store(&mut fleet).await;
    let process = fleet.start();
    assert_eq!(send(&fleet, &process, &id).await, Ok(id.clone()));
    // This also holds once the process has adopted the session.
    assert_eq!(send(&fleet, &process, &id).await, Ok(id));
    assert_eq!(fleet.setup.creates(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_strangers_id_is_refused_once_the_store_has_been_asked() {
    let mut fleet = Fleet::new();
    id_in_the_store(&mut fleet).await;
    let process = fleet.start();
    let strangers = format!("sess_{:064x}", 7);
    for _ in ["not adopted yet", "adopted"] {
        let refused = send(&fleet, &process, &strangers).await;
        assert_eq!(refused, Err(ErrorKind::InvalidRequest));
    }
    assert_eq!(fleet.setup.uses().len(), 1, "that of the maker");
    // A refused request does not make the process a user of the session. The last real user deletes it.
    assert_eq!(process.manager.stats().in_flight, 0);
}
