//! Wrong settings are errors when the store is created. The errors do not show the contents of the URL.

use sipher_session::{Error, ErrorKind, store::RedisStore};

#[track_caller]
fn refused(made: Result<RedisStore, Error>, naming: &str) {
    let error = made.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let shown = format!("{error} {error:?}");
    assert!(error.to_string().starts_with(naming), "{error}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_bad_url_is_refused_by_its_settings_name_and_not_repeated() {
    for url in [
        "",
        "hunter2",
        "http://user:hunter2@host",
        "redis://user:hunter2@host:notaport",
        "redis://user:hunter2@host/nodatabase",
        "redis://user:hunter2@host?protocol=hunter2",
        "redis://",
    ] {
        refused(RedisStore::connect(url), "store url: ");
        refused(RedisStore::cluster([url]), "store urls: ");
        refused(RedisStore::sentinel([url], "fleet"), "store urls: ");
    }
    refused(RedisStore::cluster::<&str>([]), "store urls: ");
    refused(
        RedisStore::cluster(["redis://:hunter2@one", "redis://:hunter22@two"]),
        "store urls: ",
    );
    refused(RedisStore::sentinel(["redis://host"], ""), "store master: ");
    refused(
        RedisStore::sentinel(["redis://host"], "redis://user:hunter2@host/x"),
        "store master: ",
    );
    refused(
        RedisStore::sentinel(["redis://host"], "unix:///hunter2"),
        "store master: ",
    );
}

#[test]
fn a_prefix_that_would_break_up_a_slot_is_refused() {
    for prefix in ["", "{}", "a{b", "a}b"] {
        refused(
            RedisStore::connect("redis://host").unwrap().prefix(prefix),
            "store prefix: ",
        );
    }
}

#[test]
fn debug_output_says_where_it_is_and_shows_no_password() {
    let url = "redis://user:hunter2@host.example:7/3";
    for store in [
        RedisStore::connect(url).unwrap(),
        RedisStore::cluster(["redis://user:hunter2@host.example:7"]).unwrap(),
        RedisStore::sentinel([url], "redis://user:hunter2@fleet").unwrap(),
    ] {
        let shown = format!("{store:?} {:?}", store.clone().prefix("other").unwrap());
        assert!(
            shown.contains("host.example:7") && shown.contains("other"),
            "{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[cfg(feature = "rustls")]
#[test]
fn tls_is_taken() {
    RedisStore::connect("rediss://host").unwrap();
    RedisStore::connect("valkeys://host").unwrap();
}
