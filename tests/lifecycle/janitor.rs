//! The one background task that deletes what is used no more.

use sipher_session::testing::{Fault, Target, What};
use tower::ServiceExt;

use crate::support::{SECOND, Setup, generate, pass};

#[tokio::test(start_paused = true)]
async fn one_delete_after_the_other_however_many_there_are() {
    let setup = Setup::new();
    let manager = setup.manager();
    setup
        .sipher
        .fault(Fault::new(What::Delay(5 * SECOND)).on(Target::Delete));
    for generation in 1..=3 {
        setup.call(&manager).await.unwrap();
        assert!(manager.invalidate(generation));
        pass(1.0).await;
        assert_eq!(setup.deletes(), 1, "the first is not answered yet");
    }
    pass(10.0).await;
    assert_eq!((setup.deletes(), setup.sipher.live_sessions()), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn requests_that_bear_a_retired_session_are_counted_in_flight() {
    let setup = Setup::new();
    let manager = setup.manager();
    manager.session().await.unwrap();
    setup
        .sipher
        .fault(Fault::new(What::Delay(5 * SECOND)).on(Target::Calls));
    let slow = tokio::spawn(setup.service(&manager).oneshot(generate()));
    pass(1.0).await;
    assert!(manager.invalidate(1));
    assert_eq!(manager.stats().in_flight, 1);
    slow.await.unwrap().unwrap();
    assert_eq!(manager.stats().in_flight, 0);
}
