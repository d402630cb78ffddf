//! Good and bad settings, judged by the schema, and by reading and building.

mod judge;

use serde_json::{Value, json};

use self::judge::Judge;
use super::schema;
use crate::{SessionConfig, SessionManager};

fn is_read_and_built(config: &Value) -> bool {
    serde_json::from_value::<SessionConfig>(config.clone())
        .is_ok_and(|config| SessionManager::from_config(config).is_ok())
}

#[track_caller]
fn both_say(good: bool, config: &Value) {
    assert_eq!(is_read_and_built(config), good, "read and built: {config}");
    let schema = schema();
    assert_eq!(Judge(&schema).accepts(config), good, "the schema: {config}");
}

/// Each setting with values that are right, and values that are wrong.
#[allow(clippy::too_many_lines)] // a table
fn cases() -> Vec<(&'static str, Value, Value)> {
    let urls = json!([
        "https://sipher.example",
        "https://sipher.example/v2/",
        "HTTPS://v1",
        "http://[::1]:5006/a/v1/b"
    ]);
    let no_urls = json!([
        "",
        "sipher.example",
        "ftp://a",
        "https://",
        "https:///a",
        "https://a?b",
        "https://a/#",
        "https://a/v1",
        "https://a/b/V1//",
        "https://é.example",
        7,
        format!("https://a/{}", "b".repeat(2048))
    ]);
    let lists = |urls: &Value| {
        urls.as_array()
            .unwrap()
            .iter()
            .map(|url| json!([url]))
            .collect::<Value>()
    };
    let switch = || (json!([false]), json!(["true", 1, []]));
    let spans = || {
        (
            json!(["1s", "1ms", "1h 30m", " 2 min ", "1m30s", "0.5s", "7µs"]),
            json!(["0s", "0m 0s", "", "soon", "5", 5, "1x", "-1s", "1h,"]),
        )
    };
    vec![
        (
            "api_key",
            json!(["sk_pro_1234", "k".repeat(1024)]),
            json!(["", "a b", "é", "[redacted]", 7, "k".repeat(1025)]),
        ),
        ("base_url", urls.clone(), no_urls.clone()),
        ("aliases", lists(&urls), lists(&no_urls)),
        (
            "aliases",
            json!([[], vec!["https://a"; 16]]),
            json!([vec!["https://a"; 17], "https://a", [null]]),
        ),
        ("allow_plain_http", json!([true, false]), switch().1),
        (
            "defaults",
            json!([{}, {"chain": "near"}]),
            json!([["near"], "near", {"chian": "near"}]),
        ),
        (
            "defaults.chain",
            json!(["near", "zcash"]),
            json!(["Near", "", 7]),
        ),
        (
            "defaults.privacy_level",
            json!(["shielded"]),
            json!(["max"]),
        ),
        (
            "defaults.rpc_provider",
            json!(["helius"]),
            json!(["Helius"]),
        ),
        (
            "defaults.backend",
            json!(["sip-native"]),
            json!(["sip_native"]),
        ),
        (
            "defaults.default_viewing_key",
            json!(["0xaB09"]),
            json!([
                "0x",
                "abcd",
                "0xg",
                "[redacted]",
                format!("0x{}", "a".repeat(1023))
            ]),
        ),
        (
            "ttl",
            json!([
                "60s",
                "1m",
                "0060 s",
                "60000ms",
                "24h",
                "1d",
                "86400s",
                "1h 30m",
                "90 minutes"
            ]),
            json!([
                "59s", "59999ms", "9s", "0h", "25h", "86401s", "90000s", "100000s", "1441m", "2d",
                "1w", "1y", "3600", 3600, ""
            ]),
        ),
        ("create_timeout", spans().0, spans().1),
        ("max_wait", spans().0, spans().1),
        ("verify_every", spans().0, spans().1),
        ("linger", json!(["0s", "10s", "1week"]), json!(["ten", 10])),
        (
            "verify_after",
            json!(["10s", "10000ms", "24h"]),
            json!(["9s", "9999ms", "0m", "25h", "2days"]),
        ),
        (
            "on_no_session",
            json!(["fail", "send_without"]),
            json!(["Fail", true, 3]),
        ),
        (
            "foreign_ids",
            json!(["refuse", "replace", "keep"]),
            json!(["pass", ["keep"]]),
        ),
        ("on_outside", json!(["pass", "refuse"]), json!(["warn"])),
        (
            "inline_defaults",
            json!(["off", "without_session", "always"]),
            json!(["on", {}]),
        ),
        ("inline_strict", switch().0, switch().1),
        ("without_sessions", switch().0, switch().1),
        (
            "max_sessions",
            json!([1, u64::MAX]),
            json!([0, -1, 1.5, "1"]),
        ),
        ("call_budget", json!([{}]), json!([[3, 4], {"per_hour": 5}])),
        (
            "call_budget.per_minute",
            json!([1, u32::MAX]),
            json!([0, -1, 4_294_967_296_u64]),
        ),
        ("call_budget.burst", json!([1, u32::MAX]), json!([0, "1"])),
        (
            "call_budget.upkeep_per_day",
            json!([0, u32::MAX]),
            json!([-1, 4_294_967_296_u64]),
        ),
        (
            "on_store_down",
            json!(["own_session", "fail"]),
            json!(["own"]),
        ),
        (
            "member_lease",
            json!(["30s", "1h", "30000ms", "2w"]),
            json!(["29s", "29999ms", "0m", "half"]),
        ),
        ("verify_adopted", json!([true, false]), json!(["no"])),
        ("time_to_live", json!([]), json!(["30m", null])),
    ]
}

fn config(path: &str, value: &Value) -> Value {
    path.split('.')
        .rev()
        .fold(value.clone(), |value, key| json!({ key: value }))
}

#[test]
fn the_schema_accepts_what_is_read_and_built_and_nothing_else() {
    for (path, good, bad) in cases() {
        for value in good.as_array().unwrap() {
            both_say(true, &config(path, value));
            both_say(true, &config(path, &Value::Null));
        }
        for value in bad.as_array().unwrap() {
            both_say(false, &config(path, value));
        }
    }
    both_say(true, &json!({}));
}

#[test]
fn every_setting_has_cases_and_files_have_their_own() {
    let cases = cases();
    for (name, _) in super::settings(&schema()) {
        let is_file = name.ends_with("_file");
        assert!(
            is_file || cases.iter().any(|(path, ..)| *path == name),
            "{name}"
        );
    }
    both_say(false, &json!({"api_key_file": ""}));
    both_say(true, &json!({"api_key": "k", "api_key_file": null}));
    both_say(false, &json!({"api_key": "k", "api_key_file": "/k"}));
    let viewing = |key: &str, file: &str| json!({"defaults": {"default_viewing_key": key, "default_viewing_key_file": file}});
    both_say(false, &viewing("0xab", "/k"));
}

/// The schema sees one file. The second of two settings may be in the environment instead.
#[test]
fn what_two_settings_say_together_is_left_to_the_builder() {
    for config in [
        json!({"without_sessions": true}),
        json!({"inline_strict": true, "inline_defaults": "off"}),
        json!({"base_url": "http://sipher.internal"}),
        json!({"ttl": "30s 1ms"}), // a pattern cannot add
        json!({"api_key_file": "/no/such/file"}),
    ] {
        assert!(!is_read_and_built(&config), "{config}");
        assert!(Judge(&schema()).accepts(&config), "{config}");
    }
}

#[test]
fn a_default_that_the_schema_names_is_the_one_that_the_builder_has() {
    let schema = schema();
    let defaults = super::settings(&schema).into_iter();
    let defaults =
        defaults.filter_map(|(path, setting)| Some((path, setting.get("default")?.clone())));
    // A `base_url` that is set removes the default alias, even if it is set to the default URL.
    let tables = defaults.filter(|(path, default)| !default.is_object() && path != "base_url");
    let built = |config: Value| {
        let config: SessionConfig = serde_json::from_value(config).unwrap();
        format!(
            "{:?}",
            SessionManager::from_config(config).unwrap().core().settings
        )
    };
    let mut compared = 0;
    for (path, default) in tables {
        assert_eq!(built(config(&path, &default)), built(json!({})), "{path}");
        compared += 1;
    }
    assert!(compared > 15, "{compared}");
}
