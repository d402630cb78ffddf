//! Right and wrong settings from files and from the environment.
#![allow(clippy::unwrap_used)] // for the helper functions

mod switches;
mod wrong;

use std::{cell::RefCell, collections::BTreeSet, env, fs, time::Duration};

use serde_json::json;
use sipher_session::{
    Chain, ErrorKind, InlineDefaults, OnNoSession, PrivacyLevel, SessionConfig, SessionManager,
};

const SETTINGS: &str = r#"
api_key = "sk_pro_1234"
base_url = "http://sipher.internal:5006"
aliases = ["http://gateway.internal", "https://sipher.example/api"]
allow_plain_http = true
ttl = "1h"
create_timeout = "20s"
max_wait = "1m 30s"
linger = "500ms"
verify_after = "2m"
verify_every = "5m"
on_no_session = "send_without"
foreign_ids = "keep"
on_outside = "refuse"
inline_defaults = "always"
inline_strict = true
without_sessions = true
max_sessions = 50
"#;

/// The settings that exist with the feature `store` only.
const OF_STORE: &str = r#"on_store_down = "fail"
member_lease = "10m"
verify_adopted = true
"#;

const TABLES: &str = r#"
[defaults]
chain = "near"
privacy_level = "shielded"
rpc_provider = "helius"
backend = "sip-native"
default_viewing_key = "0xabcd1234"

[call_budget]
per_minute = 30
burst = 10
upkeep_per_day = 200
"#;

/// Returns a configuration that has every setting, in the order in which settings are written. The two files with
/// secrets are left out: they take the place of the secrets.
fn whole() -> String {
    let of_store = if cfg!(feature = "store") {
        OF_STORE
    } else {
        ""
    };
    [SETTINGS, of_store, TABLES].concat()
}

/// Returns the names of all settings in a table, as the error about an unknown setting lists them. An empty name stands
/// for the whole configuration.
fn names_in(table: &str) -> BTreeSet<String> {
    let unknown = json!({"?": 0});
    let config = if table.is_empty() {
        unknown
    } else {
        json!({ table: unknown })
    };
    let error = serde_json::from_value::<SessionConfig>(config)
        .unwrap_err()
        .to_string();
    let (_, names) = error.split_once("expected one of ").unwrap();
    let names = names.split('`').skip(1).step_by(2);
    names.map(str::to_owned).collect()
}

/// If this test fails for a new setting, add the setting to `SETTINGS`, `OF_STORE` or `TABLES`.
#[test]
fn the_tests_know_every_setting() {
    let text = whole();
    let whole: toml::Table = text.parse().unwrap();
    let config: SessionConfig = toml::from_str(&text).unwrap();
    let shown = format!("{config:?}");
    for (table, file) in [
        ("", "api_key_file"),
        ("defaults", "default_viewing_key_file"),
        ("call_budget", ""),
    ] {
        let has = if table.is_empty() {
            &whole
        } else {
            whole[table].as_table().unwrap()
        };
        let has: BTreeSet<_> = has.keys().cloned().collect();
        let mut names = names_in(table);
        for name in &names {
            assert!(shown.contains(&format!("{name}: ")), "{name}: {shown}");
        }
        assert_eq!(names.remove(file), !file.is_empty(), "{file}");
        assert_eq!(has, names, "the settings in `{table}`");
    }
}

#[test]
fn every_setting_is_read_and_written_again_except_secrets() {
    let whole = whole();
    let config: SessionConfig = toml::from_str(&whole).unwrap();
    assert_eq!(config.ttl, Some(Duration::from_secs(3600)));
    assert_eq!(config.max_wait, Some(Duration::from_secs(90)));
    assert_eq!(config.linger, Some(Duration::from_millis(500)));
    assert_eq!(config.verify_after, Some(Duration::from_secs(120)));
    assert_eq!(config.on_no_session, Some(OnNoSession::SendWithout));
    assert_eq!(config.inline_defaults, Some(InlineDefaults::Always));
    assert_eq!(config.defaults.privacy_level, Some(PrivacyLevel::Shielded));
    assert_eq!(config.call_budget.burst, Some(10));
    let written = toml::to_string(&config).unwrap();
    let expected = whole
        .replace("sk_pro_1234", "[redacted]")
        .replace("0xabcd1234", "[redacted]");
    assert_eq!(written.trim(), expected.trim());
    assert!(SessionManager::from_config(config).is_ok());
}

#[test]
fn nothing_is_as_good_as_the_builders_defaults() {
    let config: SessionConfig = toml::from_str("").unwrap();
    assert_eq!(config, SessionConfig::default());
    assert_eq!(
        toml::to_string(&config).unwrap().trim(),
        "[defaults]\n\n[call_budget]"
    );
    assert!(SessionManager::from_config(config).is_ok());
}

#[test]
fn secrets_are_read_from_files_without_the_line_end() {
    let directory = env::temp_dir().join(format!("sipher-session-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    let (key, viewing_key) = (directory.join("key"), directory.join("viewing"));
    fs::write(&key, "sk_pro_1234\n").unwrap();
    fs::write(&viewing_key, "0xabcd\r\n").unwrap();
    let files = json!({"api_key_file": key, "defaults": {"default_viewing_key_file": viewing_key}});
    let config: SessionConfig = serde_json::from_value(files).unwrap();
    assert!(SessionManager::from_config(config.clone()).is_ok());
    fs::write(&key, "x".repeat(70_000)).unwrap();
    let error = SessionManager::from_config(config).unwrap_err();
    assert!(
        error.to_string().contains("is longer than 65536 bytes"),
        "{error}"
    );
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn every_variable_is_read() {
    let mut variables = vec![
        ("SIPHER_API_KEY", "sk_pro_1234"),
        ("SIPHER_BASE_URL", "http://sipher.internal:5006"),
        (
            "SIPHER_ALIASES",
            "http://gateway.internal, https://sipher.example/api",
        ),
        ("SIPHER_ALLOW_PLAIN_HTTP", "true"),
        ("SIPHER_TTL", "1h"),
        ("SIPHER_CREATE_TIMEOUT", "20s"),
        ("SIPHER_MAX_WAIT", "90s"),
        ("SIPHER_LINGER", "500ms"),
        ("SIPHER_VERIFY_AFTER", "2m"),
        ("SIPHER_VERIFY_EVERY", "5m"),
        ("SIPHER_ON_NO_SESSION", "send_without"),
        ("SIPHER_FOREIGN_IDS", "keep"),
        ("SIPHER_ON_OUTSIDE", "refuse"),
        ("SIPHER_INLINE_DEFAULTS", "always"),
        ("SIPHER_INLINE_STRICT", "true"),
        ("SIPHER_WITHOUT_SESSIONS", "true"),
        ("SIPHER_MAX_SESSIONS", "50"),
        ("SIPHER_CHAIN", "near"),
        ("SIPHER_PRIVACY_LEVEL", "shielded"),
        ("SIPHER_RPC_PROVIDER", "helius"),
        ("SIPHER_BACKEND", "sip-native"),
        ("SIPHER_VIEWING_KEY", "0xabcd1234"),
        ("SIPHER_CALLS_PER_MINUTE", "30"),
        ("SIPHER_CALL_BURST", "10"),
        ("SIPHER_UPKEEP_PER_DAY", "200"),
    ];
    if cfg!(feature = "store") {
        variables.extend([
            ("SIPHER_ON_STORE_DOWN", "fail"),
            ("SIPHER_MEMBER_LEASE", "10m"),
            ("SIPHER_VERIFY_ADOPTED", "true"),
        ]);
    }
    let asked = RefCell::new(BTreeSet::new());
    let config = SessionConfig::from_variables(|name| {
        asked.borrow_mut().insert(name.to_owned());
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).into())
    });
    let same: SessionConfig = toml::from_str(&whole()).unwrap();
    assert_eq!(config.unwrap(), same);
    // The files with secrets are read below.
    let files = ["SIPHER_API_KEY_FILE", "SIPHER_VIEWING_KEY_FILE"];
    let named = variables.iter().map(|(name, _)| *name).chain(files);
    let named: BTreeSet<_> = named.map(str::to_owned).collect();
    assert_eq!(asked.into_inner(), named, "every variable has a value here");

    let files = SessionConfig::from_variables(|name| match name {
        "SIPHER_API_KEY_FILE" => Some("/run/key".into()),
        "SIPHER_VIEWING_KEY_FILE" => Some("/run/viewing".into()),
        _ => None,
    });
    let files = files.unwrap();
    assert_eq!(files.api_key_file.unwrap().to_str(), Some("/run/key"));
    assert_eq!(
        files.defaults.default_viewing_key_file.unwrap().to_str(),
        Some("/run/viewing")
    );
}

#[test]
fn what_is_said_first_wins_setting_by_setting() {
    let first: SessionConfig =
        toml::from_str("api_key_file = '/k'\n[defaults]\nchain = 'sui'").unwrap();
    let both = first.or(toml::from_str(&whole()).unwrap());
    assert_eq!(both.api_key, None, "the file is the key");
    assert_eq!(both.defaults.chain, Some(Chain::Sui));
    assert_eq!(both.defaults.privacy_level, Some(PrivacyLevel::Shielded));
    assert_eq!(both.ttl, Some(Duration::from_secs(3600)));
}

#[test]
fn secrets_are_not_shown() {
    let config: SessionConfig = toml::from_str(&whole()).unwrap();
    let shown = format!("{config:?}{}", serde_json::to_string(&config).unwrap());
    assert!(!shown.contains("1234"), "{shown}");
    for urls in [
        "base_url = 'https://user:hunter2@host'",
        "aliases = ['https://user:hunter2@host']",
    ] {
        let urls: SessionConfig = toml::from_str(urls).unwrap();
        assert!(!format!("{urls:?}").contains("hunter2"));
    }
}
