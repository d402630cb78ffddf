//! A runtime without timers gives a typed error and no panic.

use std::{
    panic,
    sync::{Arc, Mutex},
    time::Duration,
};

use sipher_session::{Chain, Error, ErrorKind, SessionDefaults, SessionManager, ShutdownReport};
use tokio::runtime::{Builder, Runtime};

use crate::support::Setup;

fn without_timers() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

fn paused() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

async fn every_call_fails(setup: &Setup, manager: &SessionManager) {
    let error = manager.session().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
    assert!(error.to_string().contains("enable_time"), "{error}");
    let error = setup.call(manager).await.unwrap_err();
    assert_eq!(Error::find(&error).unwrap().kind(), ErrorKind::NoRuntime);
    let sui = SessionDefaults::new().chain(Chain::Sui);
    let error = manager.update_defaults(sui).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
    let request = sipher_session::api::CreateSession::new(SessionDefaults::new());
    let error = manager.api().create_session(&request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoRuntime);
}

#[test]
fn every_call_on_it_fails_with_no_runtime_and_goes_on_elsewhere() {
    let elsewhere = paused();
    let setup = elsewhere.block_on(async { Setup::apart() });
    let manager = elsewhere.block_on(async { setup.manager() });
    without_timers().block_on(every_call_fails(&setup, &manager));
    assert_eq!(setup.sipher.session_calls(), 0);
    elsewhere.block_on(async { setup.call(&manager).await.unwrap() });
    // With a live session, no request has to wait.
    without_timers().block_on(async { setup.call(&manager).await.unwrap() });
}

/// Without timers nothing can be deleted, and the report says so.
#[test]
fn a_shutdown_on_it_and_outside_of_any_reports_what_it_leaves() {
    let elsewhere = paused();
    for on_runtime in [true, false] {
        let (setup, manager) = elsewhere.block_on(async {
            let setup = Setup::apart();
            let manager = setup.manager();
            setup.call(&manager).await.unwrap();
            (setup, manager)
        });
        let shutdown = async {
            let report = manager.shutdown(Duration::from_secs(5)).await;
            let again = manager.shutdown(Duration::from_secs(5)).await;
            assert_eq!(again.left_to_expire, report.left_to_expire);
            report
        };
        let report: ShutdownReport = if on_runtime {
            without_timers().block_on(shutdown)
        } else {
            futures_executor(shutdown)
        };
        assert_eq!((report.deleted, report.left_to_expire), (0, 1));
        let error = elsewhere.block_on(manager.session()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Shutdown);
        assert_eq!(setup.deletes(), 0);
    }
}

/// Drives a future that needs no runtime.
fn futures_executor<T>(work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match work.as_mut().poll(&mut context) {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => panic!("it waits"),
    }
}

/// The crate asks a runtime only once whether it has timers, because tokio answers with a panic.
#[test]
fn it_is_found_out_once() {
    let said = Arc::new(Mutex::new(0));
    let (count, before) = (said.clone(), panic::take_hook());
    let thread = std::thread::current().id();
    panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == thread {
            *count.lock().unwrap() += 1;
        } else {
            before(info);
        }
    }));
    let elsewhere = paused();
    let setup = elsewhere.block_on(async { Setup::apart() });
    let manager = elsewhere.block_on(async { setup.manager() });
    without_timers().block_on(async {
        for _ in 0..100 {
            manager.session().await.unwrap_err();
        }
    });
    let said = *said.lock().unwrap(); // taken out first: a failing assertion would call the panic hook
    assert_eq!(said, 1);
}
