//! One process of the fleet: several managers under load, until the process is told to end or is killed.

use std::{
    env,
    io::{BufRead, stdin},
    time::Duration,
};

use sipher_session::{Chain, SessionDefaults, SessionLayer, SessionManager, store::RedisStore};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

pub fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let variable = |name| env::var(name).unwrap();
        let number = |name| variable(name).parse::<u64>().unwrap();
        let pause = Duration::from_millis(number("PAUSE_MILLIS"));
        // All managers share one client, because building one takes a while.
        let client = reqwest::Client::new();
        let managers: Vec<SessionManager> = (0..number("MANAGERS"))
            .map(|_| {
                SessionManager::builder()
                    .api_key(variable("SIPHER_API_KEY"))
                    .base_url(variable("SIPHER_BASE_URL"))
                    .defaults(SessionDefaults::new().chain(Chain::Near))
                    .ttl(Duration::from_secs(number("TTL_SECONDS")))
                    .create_timeout(Duration::from_secs(number("CREATE_TIMEOUT_SECONDS")))
                    .http_client(client.clone())
                    .store(RedisStore::connect(&variable("REDIS_URL")).unwrap())
                    .build()
                    .unwrap()
            })
            .collect();
        let mut load = JoinSet::new();
        for manager in &managers {
            load.spawn(work(
                manager.clone(),
                client.clone(),
                variable("SIPHER_BASE_URL"),
                pause,
            ));
        }
        let mut orders = orders();
        while let Some(order) = orders.recv().await {
            match order.as_str() {
                "invalidate" => {
                    if let Ok(session) = managers[0].session().await {
                        managers[0].invalidate(session.generation());
                    }
                }
                _ => break,
            }
        }
        load.shutdown().await;
        let mut ends = JoinSet::new();
        for manager in managers {
            ends.spawn(async move { manager.shutdown(Duration::from_secs(5)).await });
        }
        ends.join_all().await;
    });
}

async fn work(manager: SessionManager, client: reqwest::Client, base_url: String, pause: Duration) {
    let http = reqwest_middleware::ClientBuilder::new(client)
        .with(SessionLayer::new(manager))
        .build();
    loop {
        let request = http
            .post(format!("{base_url}/v1/stealth/generate"))
            .header("content-type", "application/json")
            .body("{}");
        if let Err(error) = request.send().await {
            eprintln!("{error:?}");
        }
        sleep(pause.mul_f64(0.3 + fastrand::f64() * 1.4)).await;
    }
}

/// Returns the orders of the parent, line by line. The channel closes when the parent is gone.
fn orders() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
