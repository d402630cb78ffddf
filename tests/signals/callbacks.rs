//! A subscriber, recorder, transport or waker may call back into the manager, because the manager holds no lock when it calls them.

use std::{
    cell::Cell,
    future::Future,
    pin::pin,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use http::HeaderMap;
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use sipher_session::{
    Chain, SessionDefaults, SessionManager,
    api::Transport,
    testing::{Fault, Target, Tier, What},
};
use tower::{ServiceExt, service_fn};
use tracing::Subscriber;
use tracing_subscriber::{Layer, Registry, layer::SubscriberExt};

use crate::support::{Call, SECOND, Setup, generate, pass};

thread_local! {
    /// The calls of a callback cause signals as well. This flag prevents endless recursion.
    static IS_AT_IT: Cell<bool> = const { Cell::new(false) };
}

/// The kinds of callbacks. Used to count their calls.
#[derive(Clone, Copy, Debug)]
enum By {
    Logs,
    Metrics,
    Transport,
    Waker,
}

/// Calls every method of a manager whenever it is called itself.
#[derive(Debug, Default)]
struct Meddler {
    sessions: OnceLock<SessionManager>,
    calls: [AtomicU64; 4],
    /// Whether it also calls the methods that end sessions.
    ends: Mutex<bool>,
}

impl Meddler {
    fn meddle(&self, by: By) {
        let Some(sessions) = self.sessions.get() else {
            return;
        };
        self.calls[by as usize].fetch_add(1, Ordering::Relaxed);
        if IS_AT_IT.replace(true) {
            return;
        }
        let _ = format!("{sessions:?} {:?}", sessions.stats());
        let _ = (sessions.health(), sessions.defaults(), sessions.base_url());
        let _ = sessions.events().try_recv();
        assert!(!sessions.invalidate(u64::MAX));
        sessions.clear_holds("sip_of_nobody");
        once(sessions.session());
        once(sessions.apply(&mut HeaderMap::new()));
        once(sessions.update_defaults(SessionDefaults::new().chain(Chain::Near)));
        if *self.ends.lock().unwrap() {
            once(sessions.shutdown(SECOND));
        }
        drop(sessions.clone());
        IS_AT_IT.set(false);
    }

    fn calls(&self, by: By) -> u64 {
        self.calls[by as usize].load(Ordering::Relaxed)
    }
}

/// Polls the future once, because a callback cannot wait.
fn once(future: impl Future) {
    let mut future = pin!(future);
    let _ = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
}

/// Calls the manager for everything that is logged.
struct Logs(Arc<Meddler>);

impl<S: Subscriber> Layer<S> for Logs {
    fn on_event(&self, _: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        self.0.meddle(By::Logs);
    }
}

/// Calls the manager for everything that is counted or measured.
#[derive(Debug)]
struct Metrics(Arc<Meddler>);

impl CounterFn for Metrics {
    fn increment(&self, _: u64) {
        self.0.meddle(By::Metrics);
    }

    fn absolute(&self, _: u64) {
        self.0.meddle(By::Metrics);
    }
}

impl GaugeFn for Metrics {
    fn increment(&self, _: f64) {
        self.0.meddle(By::Metrics);
    }

    fn decrement(&self, _: f64) {
        self.0.meddle(By::Metrics);
    }

    fn set(&self, _: f64) {
        self.0.meddle(By::Metrics);
    }
}

impl HistogramFn for Metrics {
    fn record(&self, _: f64) {
        self.0.meddle(By::Metrics);
    }
}

impl Recorder for Metrics {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(Arc::new(Self(self.0.clone())))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(Arc::new(Self(self.0.clone())))
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Self(self.0.clone())))
    }
}

/// Calls the manager when an event wakes its listener.
struct Woken(Arc<Meddler>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.meddle(By::Waker);
    }
}

fn of_tenant(key: &str) -> Call {
    let mut request = generate();
    let key = key.parse().unwrap();
    request.headers_mut().insert("x-api-key", key);
    request
}

/// Runs creates, evictions, renewals, a restart, failures, deletes, a create that hangs, and a shutdown.
async fn a_life(meddler: Arc<Meddler>, deadline: Duration) {
    let setup = Setup::new();
    let (sipher, inner) = (setup.sipher.clone(), meddler.clone());
    let transport = service_fn(move |call: Call| {
        inner.meddle(By::Transport);
        sipher.clone().oneshot(call)
    });
    let builder = setup.builder().max_sessions(2).ttl(300 * SECOND);
    let manager = builder
        .transport(Transport::new(transport))
        .build()
        .unwrap();
    meddler.sessions.set(manager.clone()).unwrap();
    let mut events = manager.events();
    let waker = Waker::from(Arc::new(Woken(meddler.clone())));
    let mut listening = Box::pin(async move { while events.recv().await.is_some() {} });
    let mut listen = move || {
        let _ = listening.as_mut().poll(&mut Context::from_waker(&waker));
    };
    let service = setup.service(&manager);
    for round in 0..12 {
        listen();
        let key = setup.sipher.api_key(Tier::Pro);
        let _ = service.clone().oneshot(of_tenant(&key)).await;
        let _ = setup.call(&manager).await;
        pass(61.0).await;
        match round % 4 {
            0 => setup.sipher.restart(),
            1 => setup
                .sipher
                .fault(Fault::new(What::Refuse).on(Target::Create)),
            2 => setup
                .sipher
                .fault(Fault::new(What::LoseAnswer).on(Target::Any)),
            _ => {
                manager.invalidate(manager.stats().created);
            }
        }
    }
    listen();
    setup
        .sipher
        .fault(Fault::new(What::Hang).on(Target::Create));
    let hangs = of_tenant(&setup.sipher.api_key(Tier::Pro));
    let hanging = tokio::spawn(service.clone().oneshot(hangs.clone()));
    pass(1.0).await;
    // The shutdown wakes the request that waits for that create.
    let mut waits = Box::pin(service.oneshot(hangs));
    let waker = Waker::from(Arc::new(Woken(meddler.clone())));
    let polled = waits.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    let woken = meddler.calls(By::Waker);
    *meddler.ends.lock().unwrap() = true;
    let report = manager.shutdown(deadline).await;
    assert_eq!(
        (report.failed, report.possible_orphans > 0),
        (0, true),
        "{report}"
    );
    assert!(hanging.await.unwrap().is_err());
    assert!(meddler.calls(By::Waker) > woken);
    let stats = manager.stats();
    assert!(stats.evicted > 0 && stats.deleted > 0, "{stats:?}");
}

#[test]
fn subscribers_recorders_transports_and_wakers_may_call_back_into_the_manager() {
    let (done, is_done) = mpsc::channel();
    let life = thread::spawn(move || {
        let by = [By::Logs, By::Metrics, By::Transport, By::Waker];
        for deadline in [5 * SECOND, Duration::ZERO] {
            let meddler = Arc::new(Meddler::default());
            let recorder = Metrics(meddler.clone());
            let _recording = metrics::set_default_local_recorder(&recorder);
            let subscriber = Registry::default().with(Logs(meddler.clone()));
            let _logging = tracing::subscriber::set_default(subscriber);
            tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap()
                .block_on(a_life(meddler.clone(), deadline));
            let calls = by.map(|by| meddler.calls(by));
            assert!(calls.iter().all(|calls| *calls > 10), "{calls:?}");
        }
        done.send(()).unwrap();
    });
    // This takes a fraction of a second if no thread waits for itself.
    let ended = is_done.recv_timeout(Duration::from_secs(60));
    assert!(
        ended != Err(mpsc::RecvTimeoutError::Timeout),
        "a callback waits for a lock that its own thread holds"
    );
    life.join().unwrap();
}
