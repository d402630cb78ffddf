//! If a transport or a clock of the user panics, callers get a typed failure, and the next call follows after a pause.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Response;
use http_body_util::Full;
use sipher_session::{
    Error, ErrorKind, SessionDefaults, SessionManager,
    api::{Bytes, Transport},
    clock::{Clock, Reading},
    testing::{Fault, Target, TestClock, Tier, What},
};
use tower::{ServiceExt, service_fn};

use crate::support::{Call, Setup, pass};

/// Every call panics, as if no TLS provider was chosen. The calls are counted.
fn panicking(calls: &Arc<AtomicUsize>) -> Transport {
    let calls = calls.clone();
    Transport::new(service_fn(move |_: Call| {
        calls.fetch_add(1, Ordering::SeqCst);
        assert!(calls.load(Ordering::SeqCst) == 0, "no provider on purpose");
        std::future::ready(Ok::<_, Error>(Response::new(Full::<Bytes>::default())))
    }))
}

async fn fails(setup: &Setup, manager: &SessionManager) -> Error {
    let error = setup.call(manager).await.unwrap_err();
    Error::find(&error).unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_panics_costs_few_calls_and_says_so() {
    let (setup, calls) = (Setup::apart(), Arc::default());
    let manager = setup
        .builder()
        .transport(panicking(&calls))
        .build()
        .unwrap();
    let start = tokio::time::Instant::now();
    for _ in 0..600 {
        let error = fails(&setup, &manager).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(
            error.retry_after().is_some_and(|after| !after.is_zero()),
            "{error:?}"
        );
        pass(0.1).await;
    }
    let calls = calls.load(Ordering::SeqCst);
    let seconds = start.elapsed().as_secs();
    assert!(
        calls > 1 && (calls as u64) < seconds / 2,
        "{calls} calls in {seconds} s"
    );
}

/// On such a runtime, the create may end before the request that started it waits for it.
#[test]
fn on_a_runtime_with_threads_its_kind_is_the_same() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for _ in 0..20 {
            let (setup, calls) = (Setup::apart(), Arc::default());
            let builder = setup.builder().transport(panicking(&calls));
            let manager = builder
                .create_timeout(Duration::from_secs(1))
                .build()
                .unwrap();
            assert_eq!(fails(&setup, &manager).await.kind(), ErrorKind::Unavailable);
        }
    });
}

/// A clock that panics once: at the next reading after the transport was called.
#[derive(Clone, Debug)]
struct Trap(TestClock, Arc<AtomicBool>);

impl Clock for Trap {
    fn now(&self) -> Reading {
        assert!(!self.1.swap(false, Ordering::SeqCst), "a clock on purpose");
        self.0.now()
    }
}

fn trapped(setup: &Setup) -> (SessionManager, Arc<AtomicBool>) {
    trapped_after(setup, |_| true)
}

/// Sets the trap only at calls for which `is_meant` returns `true`. The first call is number 1.
fn trapped_after(
    setup: &Setup,
    is_meant: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> (SessionManager, Arc<AtomicBool>) {
    let armed = Arc::new(AtomicBool::new(false));
    let (trap, sipher) = (armed.clone(), setup.sipher.clone());
    let (calls, is_meant) = (Arc::new(AtomicUsize::new(0)), Arc::new(is_meant));
    let transport = Transport::new(service_fn(move |call: Call| {
        let (sipher, trap) = (sipher.clone(), trap.clone());
        let springs = is_meant(calls.fetch_add(1, Ordering::SeqCst) + 1);
        async move {
            let answer = sipher.oneshot(call).await;
            trap.store(springs, Ordering::SeqCst);
            answer
        }
    }));
    let clock = Trap(setup.clock.clone(), armed.clone());
    let manager = setup.builder().transport(transport).clock(clock).build();
    (manager.unwrap(), armed)
}

#[tokio::test(start_paused = true)]
async fn a_create_that_panics_elsewhere_fails_all_who_wait_and_the_next_comes_after_a_pause() {
    let setup = Setup::apart();
    let (manager, _) = trapped(&setup);
    let start = tokio::time::Instant::now();
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let manager = manager.clone();
            tokio::spawn(async move { manager.session().await })
        })
        .collect();
    for waiter in waiting {
        let error = waiter.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(
            error.retry_after().is_some_and(|after| !after.is_zero()),
            "{error:?}"
        );
    }
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(setup.creates(), 1);
    // The server has created the session, but the manager never learned its id.
    assert_eq!(manager.stats().possible_orphans, 1);
    assert_eq!(fails(&setup, &manager).await.kind(), ErrorKind::Unavailable);
    assert_eq!(setup.creates(), 1, "held back");
    for _ in 0..120 {
        drop(manager.session().await);
        pass(0.5).await;
    }
    assert!((2..20).contains(&setup.creates()), "{}", setup.creates());
}

#[tokio::test(start_paused = true)]
async fn a_create_that_panics_after_it_could_not_connect_holds_back_no_other_tenant() {
    let setup = Setup::apart();
    let (manager, _) = trapped_after(&setup, |call| call == 2);
    let refused = Fault::new(What::Refuse).on(Target::Create);
    setup.sipher.fault(refused);
    let error = fails(&setup, &manager).await;
    assert!(error.to_string().contains("panicked"), "{error}");
    let key = setup.sipher.api_key(Tier::Pro);
    manager.ready(key, SessionDefaults::new()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_in_which_a_delete_panics_ends_and_says_so_and_deletes_the_others() {
    let setup = Setup::apart();
    // The first two calls create the sessions.
    let (manager, _) = trapped_after(&setup, |call| call == 3);
    manager.session().await.unwrap();
    let key = setup.sipher.api_key(Tier::Pro);
    manager.ready(key, SessionDefaults::new()).await.unwrap();
    let shutdown = manager.shutdown(Duration::from_secs(10));
    let report = tokio::time::timeout(Duration::from_secs(60), shutdown)
        .await
        .unwrap();
    assert_eq!((report.failed, report.deleted), (1, 1), "{report:?}");
    assert!(format!("{report:?}").contains("panicked"), "{report:?}");
    assert_eq!(
        setup.sipher.live_sessions(),
        0,
        "the panic came after the call"
    );
}
