//! The error for a wrong setting names the setting, says what would be right, and shows the value unless it is secret.
#![allow(clippy::unwrap_used)] // for the helper functions

use std::time::Duration;

use sipher_session::{
    Error, ErrorKind, SessionDefaults, SessionManager, SessionManagerBuilder, SessionsApi,
    api::Transport, testing::FakeSipher,
};

const SECOND: Duration = Duration::from_secs(1);

#[track_caller]
fn refusal(builder: SessionManagerBuilder) -> Error {
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(!error.is_transient());
    error
}

#[track_caller]
fn assert_refused(builder: SessionManagerBuilder, message: &str) {
    assert_eq!(refusal(builder).to_string(), message);
}

#[test]
fn an_api_key_that_no_header_can_carry_is_refused_without_being_shown() {
    let not_visible = |position| {
        format!(
            "api_key: character {position} is not visible ASCII; expected a Sipher API key such as `sk_pro_…`"
        )
    };
    let empty = "api_key: is empty; expected a Sipher API key such as `sk_pro_…`";
    let too_long = "k".repeat(1025);
    for (key, message) in [
        ("", empty.to_owned()),
        ("sk_pro_hunter2é", not_visible(15)),
        ("sk_pro hunter2", not_visible(7)),
        ("sk_pro_hunter2\n", not_visible(15)),
        (" sk_pro_hunter2", not_visible(1)),
        (
            too_long.as_str(),
            "api_key: is 1025 bytes long; expected at most 1024".to_owned(),
        ),
    ] {
        assert_refused(SessionManager::builder().api_key(key), &message);
        let transport = Transport::new(FakeSipher::new());
        let api = SessionsApi::new(transport, FakeSipher::base_url(), key);
        assert_eq!(api.unwrap_err().to_string(), message);
    }
    let longest = SessionManager::builder().api_key("k".repeat(1024));
    longest.build().unwrap();
}

#[test]
fn a_base_url_that_is_no_origin_with_a_path_is_refused() {
    for (url, what) in [
        ("", "is empty"),
        ("https://", "has no host"),
        ("https:///v1", "has no host"),
        ("https://:443", "has no host"),
        ("sipher.example", "has no scheme"),
        ("sipher.example:443", "has no scheme"),
        ("/v1", "has no scheme"),
        (
            "ftp://sipher.example",
            "has a scheme other than http and https",
        ),
        ("https://sipher.example/v1?", "has a query"),
        ("https://sipher.example#top", "has a fragment"),
        (
            "https://sipher.example:http",
            "has a port that is not a number from 1 to 65535",
        ),
        (
            "https://sipher.example:65536",
            "has a port that is not a number from 1 to 65535",
        ),
        (
            "https://sipher.example:",
            "has a port that is not a number from 1 to 65535",
        ),
        ("https://sipher .example", "is not a URL"),
        (
            "https://sipher.example/a/../b",
            "has a path with `.` or `..` segments",
        ),
        (
            "https://sipher.example/a%2f%2E./b",
            "has a path with `.` or `..` segments",
        ),
        (
            "https://sipher.example/{tenant}",
            "has a path with characters that have to be percent-encoded",
        ),
        (
            "https://sípher.example",
            "has letters that are not ASCII, which a host has as punycode (`xn--…`)",
        ),
        (
            "https://sipher..example",
            "has a host with nothing between two dots",
        ),
        (
            "https://[fe80::1%25eth0]",
            "has brackets around what is no IPv6 address",
        ),
        (
            "http://127.1",
            "has a number for a host that is not four decimal ones, as in 127.0.0.1",
        ),
        (
            "https://0x7f000001",
            "has a number for a host that is not four decimal ones, as in 127.0.0.1",
        ),
        (
            "https://sipher.example:+443",
            "has a port that is not a number from 1 to 65535",
        ),
    ] {
        assert_refused(
            SessionManager::builder().base_url(url),
            &format!(
                "base_url: `{url}` {what}; expected a URL such as `https://sipher-api.sip-protocol.org`"
            ),
        );
    }
}

/// The crate adds `/v1` to each path, so a base URL must not end in it.
#[test]
fn a_url_that_ends_in_v1_is_refused_with_the_right_one() {
    for (url, right) in [
        ("https://sipher.example/v1", "https://sipher.example"),
        ("https://sipher.example/v1/", "https://sipher.example"),
        ("https://Sipher.Example:443/V1//", "https://sipher.example"),
        ("https://sipher.example/%561", "https://sipher.example"),
        ("https://sipher.example/a/v1", "https://sipher.example/a"),
        (
            "https://sipher.example/a//v1/V1",
            "https://sipher.example/a",
        ),
    ] {
        let message = |setting| {
            format!(
                "{setting}: `{url}` ends in `/v1`, with which every path of the API begins; expected `{right}`"
            )
        };
        let builder = SessionManager::builder;
        assert_refused(builder().base_url(url), &message("base_url"));
        assert_refused(builder().alias(url), &message("alias"));
        let api = SessionsApi::new(Transport::new(FakeSipher::new()), url, "sk_pro_1");
        assert_eq!(api.unwrap_err().to_string(), message("base_url"));
        builder().base_url(right).build().unwrap();
    }
    for other in ["/v1/a", "/v11", "/av1", "/v2", "/v1.", "/v1%20"] {
        let url = format!("https://sipher.example{other}");
        SessionManager::builder().base_url(url).build().unwrap();
    }
}

#[test]
fn an_alias_is_held_to_the_rules_for_a_base_url() {
    for (url, start) in [
        ("", "alias: `` is empty;"),
        (
            "https://user:hunter2@sipher.example",
            "alias: `https://…@sipher.example` has user info;",
        ),
        (
            "http://sipher.internal",
            "alias: `http://sipher.internal` would show the API key",
        ),
    ] {
        let error = refusal(SessionManager::builder().alias(url)).to_string();
        assert!(error.starts_with(start), "{error}");
    }
    let plain = SessionManager::builder().alias("http://sipher.internal");
    plain.allow_plain_http().build().unwrap();
    let names = |n: usize| (0..n).map(|n| format!("https://{n}.example"));
    let with = |n| names(n).fold(SessionManager::builder(), SessionManagerBuilder::alias);
    with(16).build().unwrap();
    assert_refused(with(17), "alias: is set 17 times; expected 16 at most");
}

#[test]
fn plain_http_is_refused_with_the_way_out_and_allowed_by_name() {
    let url = "http://sipher.internal:5006";
    let message = "base_url: `http://sipher.internal:5006` would show the API key and the session id to everybody on the \
                   way; expected https, or a manager with `allow_plain_http` if the way is known to be safe";
    let builder = || SessionManager::builder().base_url(url);
    assert_refused(builder(), message);
    let allowed = builder().allow_plain_http().build().unwrap();
    assert_eq!(allowed.base_url(), url);
    let api = SessionsApi::new(Transport::new(FakeSipher::new()), url, "sk_pro_1");
    assert_eq!(api.unwrap_err().to_string(), message);
    for loopback in [
        "http://127.0.0.1:5006",
        "http://[::1]",
        "http://localhost:80",
    ] {
        SessionManager::builder()
            .base_url(loopback)
            .build()
            .unwrap();
    }
}

#[test]
fn a_base_url_without_end_or_a_key_in_its_place_is_refused_and_not_repeated() {
    let long = format!("https://host/{}", "x".repeat(1_000_000));
    let error = refusal(SessionManager::builder().base_url(long)).to_string();
    assert!(
        error.contains("is longer than 2048 characters") && error.len() < 1_000,
        "{error}"
    );
    let key = "sk_pro_0123456789abcdef0123456789abcdef";
    let error = refusal(SessionManager::builder().base_url(key)).to_string();
    assert!(
        error.starts_with("base_url: ") && !error.contains("0123456789ab"),
        "{error}"
    );
}

#[test]
fn a_query_in_a_base_url_is_refused_without_being_shown() {
    assert_refused(
        SessionManager::builder().base_url("https://sipher.example?api_key=hunter2"),
        "base_url: `https://sipher.example?…` has a query; \
         expected a URL such as `https://sipher-api.sip-protocol.org`",
    );
}

#[test]
fn user_info_in_a_base_url_is_refused_without_being_shown() {
    let message = "base_url: `https://…@sipher.example` has user info; \
                   expected a URL such as `https://sipher-api.sip-protocol.org`";
    for url in [
        "https://user:hunter2@sipher.example",
        "https://hunter2@sipher.example",
        "https://user:hun@ter2@sipher.example",
    ] {
        assert_refused(SessionManager::builder().base_url(url), message);
    }
    // The URL is hidden, whatever else is wrong with it.
    for url in [
        "https://user:hunter2#@sipher.example",
        "https://user:hunter2/@sipher.example",
        "https://user:hunter2?@sipher.example",
        "https://user:hunter2@",
        "ftp://user:hunter2@sipher.example",
        "user:hunter2@sipher.example",
        "//user:hunter2@sipher.example",
    ] {
        assert_hidden(url);
    }
}

#[test]
fn user_info_on_the_wrong_side_of_the_scheme_is_not_shown_either() {
    assert_hidden("user:hunter2@https://sipher.example");
}

#[track_caller]
fn assert_hidden(url: &str) {
    let error = refusal(SessionManager::builder().base_url(url));
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
}

#[test]
fn a_ttl_that_the_server_would_not_grant_is_refused() {
    for (ttl, message) in [
        (Duration::ZERO, "ttl: is 0 s; expected 60 to 86400 s"),
        (59 * SECOND, "ttl: is 59 s; expected 60 to 86400 s"),
        (86_401 * SECOND, "ttl: is 86401 s; expected 60 to 86400 s"),
        (
            Duration::from_millis(60_500),
            "ttl: is 60.5s; expected whole seconds, from 60 to 86400",
        ),
    ] {
        assert_refused(SessionManager::builder().ttl(ttl), message);
    }
    for ttl in [60, 86_400] {
        let builder = SessionManager::builder().ttl(ttl * SECOND);
        builder.build().unwrap();
    }
}

#[test]
fn a_viewing_key_that_is_none_is_refused_without_being_shown() {
    for (key, characters) in [("", 0), ("0x", 2), ("feedbeef", 8), ("0xfeedbeef ", 11)] {
        let defaults = SessionDefaults::new().default_viewing_key(key);
        let message = format!(
            "defaults.default_viewing_key: is a secret of {characters} characters that is not shown; \
             expected `0x` followed by hexadecimal digits"
        );
        assert_refused(SessionManager::builder().defaults(defaults), &message);
    }
}

#[test]
fn a_setting_that_would_stop_everything_is_refused() {
    let builder = SessionManager::builder;
    for (builder, message) in [
        (
            builder().max_sessions(0),
            "max_sessions: is 0; expected 1 or more",
        ),
        (
            builder().call_budget(0, 1),
            "call_budget.per_minute: is 0; expected 1 or more",
        ),
        (
            builder().call_budget(1, 0),
            "call_budget.burst: is 0; expected 1 or more",
        ),
        (
            builder().create_timeout(Duration::ZERO),
            "create_timeout: is 0; expected a time such as 30 s",
        ),
        (
            builder().max_wait(Duration::ZERO),
            "max_wait: is 0; expected a time such as 30 s",
        ),
        (
            builder().verify_after(Duration::from_secs(9)),
            "verify_after: is 9s; expected a time from 10 s to 24 h",
        ),
        (
            builder().verify_after(Duration::from_secs(86_401)),
            "verify_after: is 86401s; expected a time from 10 s to 24 h",
        ),
    ] {
        assert_refused(builder, message);
    }
}

#[test]
fn defaults_that_are_too_long_are_refused_before_the_server_is_asked() {
    let builder = |defaults| SessionManager::builder().defaults(defaults);
    let key = format!("0x{}", "0".repeat(1023));
    assert_refused(
        builder(SessionDefaults::new().default_viewing_key(key)),
        "defaults.default_viewing_key: is 1025 bytes long; expected at most 1024",
    );
    assert_refused(
        builder(SessionDefaults::new().other("colour", "x".repeat(16_384))),
        "defaults: are 16397 bytes long as JSON; expected at most 16384",
    );
    let chain = sipher_session::Chain::from("x".repeat(20_000).as_str());
    let error = refusal(builder(SessionDefaults::new().chain(chain)));
    assert!(error.to_string().starts_with("defaults: are 20012 bytes"));
    let longest = SessionDefaults::new()
        .default_viewing_key(format!("0x{}", "0".repeat(1022)))
        .other("colour", "x".repeat(15_000));
    builder(longest).build().unwrap();
}

#[test]
fn a_default_is_not_said_twice() {
    for name in [
        "chain",
        "privacyLevel",
        "rpcProvider",
        "backend",
        "defaultViewingKey",
    ] {
        assert_refused(
            SessionManager::builder().defaults(SessionDefaults::new().other(name, "0xab")),
            &format!("defaults.other: has `{name}`; expected it in the field of its own"),
        );
    }
}
