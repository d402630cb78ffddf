//! A store that panics counts as a store that cannot be reached.

use sipher_session::{ErrorKind, Event, OnStoreDown};

use crate::{
    flaky::{Panics, Trouble},
    processes::{Fleet, Process},
    support::{SECOND, ours, pass},
};

fn panics(process: &Process, panics: Panics) {
    process.store.set(Trouble {
        panics,
        ..Trouble::default()
    });
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_is_an_error_of_the_store_and_is_asked_after_pauses() {
    for kind in [Panics::InTheCall, Panics::Later] {
        let mut fleet = Fleet::new();
        let process = fleet.start_with(|builder| builder.on_store_down(OnStoreDown::Fail));
        panics(&process, kind);
        for _ in 0..60 {
            let error = fleet.setup.call(&process.manager).await.unwrap_err();
            let error = ours(&error);
            assert_eq!(error.kind(), ErrorKind::Store, "{kind:?}");
            assert!(!format!("{error:?}").contains("assertion"), "{error:?}");
            pass(1.0).await;
        }
        assert!(process.store.claims() <= 60, "{}", process.store.claims());
        process.store.mend();
        pass(60.0).await;
        fleet.setup.call(&process.manager).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_whose_store_panics_goes_on_with_a_session_of_its_own() {
    for kind in [Panics::InTheCall, Panics::Later] {
        let mut fleet = Fleet::new();
        let mut process = fleet.start();
        panics(&process, kind);
        for _ in 0..10 {
            fleet.setup.call(&process.manager).await.unwrap();
        }
        assert_eq!(fleet.setup.creates(), 1);
        let down = |event: &Event| matches!(event, Event::StoreDown { .. });
        assert_eq!(
            process.events().iter().filter(|event| down(event)).count(),
            1
        );
        process.store.mend();
        pass(30.0).await;
        // The other process adopts the session.
        let other = fleet.start();
        fleet.setup.call(&other.manager).await.unwrap();
        assert_eq!(fleet.setup.creates(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn the_heartbeat_outlives_a_panic_of_the_store_though_nobody_sends_anything() {
    for kind in [Panics::InTheCall, Panics::Later] {
        let mut fleet = Fleet::new();
        let processes = fleet.start_many(2);
        fleet.call(&processes).await;
        panics(&processes[0], kind);
        pass(60.0).await;
        processes[0].store.mend();
        let keeps = processes[0].store.keeps();
        pass(15.0 + 2.0).await;
        assert!(processes[0].store.keeps() > keeps, "{kind:?}");
        let tasks = || {
            tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks()
        };
        assert_eq!(tasks(), 2, "{kind:?}: a heartbeat each");
        for process in &processes {
            process.manager.shutdown(5 * SECOND).await;
        }
        assert_eq!(fleet.setup.sipher.live_sessions(), 0);
    }
}
