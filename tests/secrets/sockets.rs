//! The same test over real sockets, with everything that libraries below log at `TRACE`.

use std::sync::{LazyLock, Mutex};

use log::{LevelFilter, Log, Metadata, Record};
use sipher_session::{
    SessionDefaults, SessionLayer, SessionManager,
    testing::{FakeSipher, Fault, Target, Tier, What},
};

use crate::{support::SECOND, witness::Witness};

const VIEWING_KEY: &str = "0xdecafbad0011decafbad0022decafbad0033";

/// Records what libraries log through `log` instead of `tracing`.
struct Logger(Mutex<String>);

static LOGGER: LazyLock<Logger> = LazyLock::new(|| Logger(Mutex::default()));

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = format!("{} {}\n", record.target(), record.args());
        *self.0.lock().unwrap() += &line;
    }

    fn flush(&self) {}
}

#[tokio::test]
async fn over_real_sockets_no_library_shows_what_this_crate_put_in() {
    log::set_logger(&*LOGGER).unwrap();
    log::set_max_level(LevelFilter::Trace);
    let witness = Witness::new();
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    for secret in [&key, VIEWING_KEY] {
        witness.secret(secret);
    }
    let server = sipher.serve().await.unwrap();
    let faults = [
        None,
        Some(What::Status(401)),
        Some(What::LoseAnswer),
        Some(What::HalfBody),
        Some(What::Malformed),
        Some(What::RedirectTo(format!(
            "{}/v1/sessions",
            server.base_url()
        ))),
        Some(What::Refuse),
    ];
    for what in faults {
        for target in [Target::Create, Target::Delete, Target::Get, Target::Calls] {
            sipher.clear_faults();
            let manager = SessionManager::builder()
                .api_key(key.as_str())
                .base_url(server.base_url())
                .defaults(SessionDefaults::new().default_viewing_key(VIEWING_KEY))
                .create_timeout(SECOND / 2)
                .max_wait(SECOND)
                .build()
                .unwrap();
            let client = reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap();
            let http = reqwest_middleware::ClientBuilder::new(client)
                .with(SessionLayer::new(manager.clone()))
                .build();
            if let Some(what) = &what {
                sipher.fault(Fault::new(what.clone()).on(target).times(3));
            }
            for _ in 0..3 {
                let request = http.post(format!("{}/v1/stealth/generate", server.base_url()));
                let request = request
                    .header("content-type", "application/json")
                    .body("{}");
                if let Some(response) = witness.outcome(request.send().await) {
                    witness.note(&response);
                }
            }
            let session = witness.outcome(manager.session().await);
            if let Some(session) = session {
                witness.outcome(manager.api().get_session(session.id()).await);
            }
            witness.note(&manager.shutdown(SECOND).await);
        }
    }
    server.stop().await;
    witness.ids_of(&sipher);
    let logged = LOGGER.0.lock().unwrap();
    assert!(logged.contains("reqwest"), "the libraries do log: {logged}");
    witness.note_text(&*logged);
    witness.assert_saw_no_secret();
}
