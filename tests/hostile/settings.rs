//! Settings that were changed at random.

use std::{ffi::OsString, time::Duration};

use sipher_session::{SessionConfig, api::Transport, testing::FakeSipher};

use crate::mutate::{each_case, mutate};

const TOML: &str = r#"
api_key = "sk_pro_1234"
base_url = "http://127.0.0.1:5006/sipher"
aliases = ["http://localhost:5006", "https://sipher.example"]
ttl = "1h"
create_timeout = "20s"
max_wait = "1m 30s"
linger = "500ms"
verify_every = "5m"
on_no_session = "send_without"
foreign_ids = "replace"
on_outside = "refuse"
max_sessions = 50
defaults = { chain = "near", privacy_level = "shielded", default_viewing_key = "0xabcd1234" }
call_budget = { per_minute = 30, burst = 10, upkeep_per_day = 200 }
"#;

fn build(config: SessionConfig) -> bool {
    // Do not read files of the machine.
    if config.api_key_file.is_some() || config.defaults.default_viewing_key_file.is_some() {
        return false;
    }
    let text = format!("{config:?}");
    assert!(!text.contains("1234"), "{text}");
    let builder = sipher_session::SessionManagerBuilder::from_config(config).unwrap();
    match builder.transport(Transport::new(FakeSipher::new())).build() {
        Ok(manager) => {
            // The manager must work with every setting that was accepted.
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap();
            runtime.block_on(async {
                let _ = tokio::time::timeout(Duration::from_secs(60), manager.session()).await;
                manager.shutdown(Duration::from_secs(1)).await;
            });
            true
        }
        Err(error) => {
            assert!(error.to_string().contains(": "), "{error}");
            false
        }
    }
}

#[test]
fn no_settings_make_the_configuration_panic() {
    let json = serde_json::to_string(&toml::from_str::<toml::Value>(TOML).unwrap()).unwrap();
    let mut built = 0;
    each_case(3_000, |rng| {
        let toml = mutate(TOML.as_bytes(), rng);
        if let Ok(config) = toml::from_str(&String::from_utf8_lossy(&toml)) {
            built += u32::from(build(config));
        }
        if let Ok(config) = serde_json::from_slice(&mutate(json.as_bytes(), rng)) {
            built += u32::from(build(config));
        }
    });
    eprintln!("{built} managers");
}

#[test]
fn no_variable_makes_the_environment_panic() {
    let variables: [(&str, &[u8]); 13] = [
        ("SIPHER_API_KEY", b"sk_pro_1234"),
        ("SIPHER_BASE_URL", b"https://sipher.example/api"),
        ("SIPHER_ALIASES", b"https://gateway.example/a,http://[::1]"),
        ("SIPHER_FOREIGN_IDS", b"replace"),
        ("SIPHER_ON_OUTSIDE", b"refuse"),
        ("SIPHER_CHAIN", b"near"),
        ("SIPHER_VIEWING_KEY", b"0xabcd1234"),
        ("SIPHER_TTL", b"1h"),
        ("SIPHER_MAX_WAIT", b"1m 30s"),
        ("SIPHER_VERIFY_EVERY", b"5m"),
        ("SIPHER_MAX_SESSIONS", b"50"),
        ("SIPHER_CALLS_PER_MINUTE", b"30"),
        ("SIPHER_CALL_BURST", b"10"),
    ];
    each_case(2_000, |rng| {
        let values = variables.map(|(name, value)| (name, os_string(mutate(value, rng))));
        let lookup = |asked: &str| {
            let found = values.iter().find(|(name, _)| *name == asked);
            found.map(|(_, value)| value.clone())
        };
        match SessionConfig::from_variables(lookup) {
            Ok(config) => drop(build(config)),
            Err(error) => {
                let text = error.to_string();
                assert!(text.starts_with("SIPHER_"), "{text}");
            }
        }
    });
}

#[cfg(unix)]
fn os_string(bytes: Vec<u8>) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes)
}

#[cfg(not(unix))]
fn os_string(bytes: Vec<u8>) -> OsString {
    String::from_utf8_lossy(&bytes).into_owned().into()
}
