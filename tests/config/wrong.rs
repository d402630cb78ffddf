//! Wrong settings: each error names the setting, and shows no secret.

use super::*;

#[test]
fn bad_settings_are_named() {
    for (config, message) in [
        (
            json!({"defaults": {"chian": "near"}}),
            "unknown field `chian`, expected one of `chain`, `privacy_level`, `rpc_provider`, `backend`, \
             `default_viewing_key`, `default_viewing_key_file`",
        ),
        (
            json!({"call_budget": {"per_hour": 5}}),
            "unknown field `per_hour`, expected one of `per_minute`, `burst`, `upkeep_per_day`",
        ),
        (
            json!({"defaults": {"privacy_level": "max"}}),
            "defaults.privacy_level: is `max`; expected one of `standard`, `shielded`, `maximum`",
        ),
        (
            json!({"defaults": {"backend": "SIP-native"}}),
            "defaults.backend: is `SIP-native`; expected one of `sip-native`",
        ),
        (
            json!({"ttl": 3600}),
            "ttl: is the number 3600; expected a duration with its unit, such as \"1h\" or \"90s\"",
        ),
        (
            json!({"max_wait": "soon"}),
            "max_wait: is `soon`; expected a duration with its unit, such as \"1h\" or \"90s\"",
        ),
        (
            json!({"on_no_session": "ignore"}),
            "on_no_session: unknown variant `ignore`, expected `fail` or `send_without`",
        ),
        (
            json!({"on_no_session": true}),
            "on_no_session: is true; expected `fail` or `send_without`",
        ),
        (
            json!({"foreign_ids": ["keep"]}),
            "foreign_ids: is a list; expected one of `refuse`, `replace`, `keep`",
        ),
        (
            json!({"on_outside": 3}),
            "on_outside: is the number 3; expected `pass` or `refuse`",
        ),
        (
            json!({"aliases": "https://gateway.example"}),
            "aliases: invalid type: string \"https://gateway.example\", expected a sequence",
        ),
        (
            json!({"foreign_ids": "pass"}),
            "foreign_ids: unknown variant `pass`, expected one of `refuse`, `replace`, `keep`",
        ),
        (
            json!({"on_outside": "warn"}),
            "on_outside: unknown variant `warn`, expected `pass` or `refuse`",
        ),
        (
            json!({"max_sessions": -1}),
            "max_sessions: invalid value: integer `-1`, expected a whole number",
        ),
        (
            json!({"defaults": {"chain": 7}}),
            "defaults.chain: invalid type: integer `7`, expected a string",
        ),
        (
            json!({"api_key_file": 7}),
            "api_key_file: invalid type: integer `7`, expected path string",
        ),
        (
            json!({"without_sessions": "yes"}),
            "without_sessions: invalid type: string \"yes\", expected true or false",
        ),
        (
            json!({"defaults": ["near"]}),
            "invalid type: sequence, expected the table `defaults`",
        ),
        (
            json!({"call_budget": [3, 4]}),
            "invalid type: sequence, expected the table `call_budget`",
        ),
        (
            json!({"api_key": 12_345_678}),
            "api_key: is not text; expected it in quotes",
        ),
        (
            json!({"api_key": "[redacted]"}),
            "api_key: is what was written in its place; expected the secret itself, or a file with it",
        ),
    ] {
        let error = serde_json::from_value::<SessionConfig>(config.clone()).unwrap_err();
        assert_eq!(error.to_string(), message, "{config}");
    }
}

#[test]
fn settings_that_can_be_read_are_checked_when_the_manager_is_built() {
    for (config, message) in [
        (
            json!({"ttl": "59s"}),
            "ttl: is 59 s; expected 60 to 86400 s",
        ),
        (
            json!({"aliases": ["https://gateway.example", ""]}),
            "alias: `` is empty; expected a URL such as `https://sipher-api.sip-protocol.org`",
        ),
        (
            json!({"call_budget": {"burst": 0}}),
            "call_budget.burst: is 0; expected 1 or more",
        ),
        (
            json!({"max_sessions": 0}),
            "max_sessions: is 0; expected 1 or more",
        ),
        (
            json!({"api_key": "k", "api_key_file": "/k"}),
            "api_key: is set together with api_key_file; expected one of them",
        ),
        (
            json!({"api_key_file": "/no/such/file"}),
            "api_key_file: `/no/such/file` cannot be read; expected a text file with the secret",
        ),
        (
            json!({"defaults": {"default_viewing_key": "abcd"}}),
            "defaults.default_viewing_key: is a secret of 4 characters that is not shown; \
             expected `0x` followed by hexadecimal digits",
        ),
    ] {
        let read: SessionConfig = serde_json::from_value(config.clone()).unwrap();
        let error = SessionManager::from_config(read).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.to_string(), message, "{config}");
    }
}

#[test]
fn bad_variables_are_named() {
    for (name, value, message) in [
        (
            "SIPHER_CHAIN",
            "",
            "SIPHER_CHAIN: is empty; expected a value, or no such variable",
        ),
        (
            "SIPHER_PRIVACY_LEVEL",
            "max",
            "SIPHER_PRIVACY_LEVEL: is `max`; expected one of `standard`, `shielded`, `maximum`",
        ),
        (
            "SIPHER_TTL",
            "3600",
            "SIPHER_TTL: is `3600`; expected a duration with its unit, such as \"1h\" or \"90s\"",
        ),
        (
            "SIPHER_MAX_SESSIONS",
            "many",
            "SIPHER_MAX_SESSIONS: is `many`; expected a whole number",
        ),
        (
            "SIPHER_CALL_BURST",
            "5000000000",
            "SIPHER_CALL_BURST: invalid value: integer `5000000000`, expected a whole number below 2^32",
        ),
        (
            "SIPHER_ON_NO_SESSION",
            "ignore",
            "SIPHER_ON_NO_SESSION: unknown variant `ignore`, expected `fail` or `send_without`",
        ),
        (
            "SIPHER_ALLOW_PLAIN_HTTP",
            "1",
            "SIPHER_ALLOW_PLAIN_HTTP: is `1`; expected `true` or `false`",
        ),
    ] {
        let lookup = |asked: &str| (asked == name).then(|| value.into());
        let error = SessionConfig::from_variables(lookup).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn a_secret_and_its_file_are_not_both_set() {
    let both = |name: &str| {
        name.starts_with("SIPHER_VIEWING_KEY")
            .then(|| "0xab".into())
    };
    let error = SessionConfig::from_variables(both).unwrap_err();
    let message =
        "SIPHER_VIEWING_KEY: is set together with SIPHER_VIEWING_KEY_FILE; expected one of them";
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_key_in_the_place_of_another_setting_is_not_shown() {
    let key = "sk_pro_0123456789abcdef";
    for name in [
        "SIPHER_TTL",
        "SIPHER_CHAIN",
        "SIPHER_MAX_SESSIONS",
        "SIPHER_ON_NO_SESSION",
        "SIPHER_CALL_BURST",
    ] {
        let lookup = |asked: &str| (asked == name).then(|| key.into());
        let error = SessionConfig::from_variables(lookup)
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(name) && error.contains("[redacted]"),
            "{error}"
        );
        assert!(!error.contains("0123"), "{error}");
    }
}

#[test]
fn a_long_value_is_not_repeated_at_length() {
    let long = "x".repeat(1_000_000);
    for name in [
        "SIPHER_TTL",
        "SIPHER_CHAIN",
        "SIPHER_MAX_SESSIONS",
        "SIPHER_ON_NO_SESSION",
    ] {
        let lookup = |asked: &str| (asked == name).then(|| long.as_str().into());
        let error = SessionConfig::from_variables(lookup)
            .unwrap_err()
            .to_string();
        assert!(error.len() < 1_000, "{}", error.len());
    }
}
