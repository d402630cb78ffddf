//! A session whose id went elsewhere in one process is used by none.

use sipher_session::SessionLayer;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::follow_redirect::RequestUri;

use crate::{
    processes::Fleet,
    support::{Call, generate, pass},
};

#[tokio::test(start_paused = true)]
async fn what_leaked_in_one_process_is_used_by_no_other() {
    let mut fleet = Fleet::new();
    let processes = fleet.start_many(2);
    let before = fleet.call(&processes).await;
    // A client below the layer follows a redirect.
    let elsewhere = service_fn(async |_: Call| {
        let last = RequestUri("https://elsewhere.example/".parse()?);
        let mut response = http::Response::new(());
        response.extensions_mut().insert(last);
        Ok::<_, sipher_session::BoxError>(response)
    });
    let layer = SessionLayer::new(processes[0].manager.clone());
    layer.layer(elsewhere).oneshot(generate()).await.unwrap();
    pass(0.1).await;
    assert_ne!(fleet.call(&processes[1..]).await, before);
}
