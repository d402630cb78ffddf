//! The settings of inline defaults, from every source.

use sipher_session::{
    Error, ErrorKind, InlineDefaults, SessionConfig, SessionManager, testing::Tier,
};

use super::{chain, post, send, support::Setup};

fn from_variables(variables: &[(&str, &str)]) -> Result<SessionConfig, Error> {
    SessionConfig::from_variables(|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).into())
    })
}

#[test]
fn files_and_the_environment_say_the_same() {
    let file: SessionConfig = serde_json::from_str(
        r#"{"inline_defaults": "without_session", "inline_strict": true, "without_sessions": true}"#,
    )
    .unwrap();
    let environment = from_variables(&[
        ("SIPHER_INLINE_DEFAULTS", "without_session"),
        ("SIPHER_INLINE_STRICT", "true"),
        ("SIPHER_WITHOUT_SESSIONS", "true"),
    ]);
    assert_eq!(environment.unwrap(), file);
    assert_eq!(file.inline_defaults, Some(InlineDefaults::WithoutSession));
    let error = from_variables(&[("SIPHER_INLINE_DEFAULTS", "sometimes")]).unwrap_err();
    assert!(
        error.to_string().starts_with("SIPHER_INLINE_DEFAULTS"),
        "{error}"
    );
    assert!(error.to_string().contains("always"), "{error}");
}

#[test]
fn a_manager_that_could_bring_the_defaults_nowhere_is_not_built() {
    let error = SessionManager::builder()
        .without_sessions()
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().starts_with("without_sessions"), "{error}");
}

#[test]
fn a_manager_that_has_nothing_to_be_strict_about_is_not_built() {
    let error = SessionManager::builder()
        .inline_strict(true)
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().starts_with("inline_strict"), "{error}");
}

/// The manager first has to read its group's defaults from the store.
#[cfg(feature = "store")]
#[tokio::test(start_paused = true)]
async fn a_manager_without_sessions_in_a_fleet_has_the_groups_defaults() {
    use sipher_session::{Chain, SessionDefaults, store::MemoryStore};
    let setup = Setup::new();
    let store = MemoryStore::new(setup.clock.clone());
    let builder = || {
        let builder = setup.builder().inline_defaults(InlineDefaults::Always);
        builder.without_sessions().store(store.clone())
    };
    let [one, other] = [(); 2].map(|()| builder().build().unwrap());
    assert_eq!(
        chain(send(&setup, &one, post("{}")).await.unwrap()).await,
        "near"
    );
    let sui = SessionDefaults::new().chain(Chain::Sui);
    one.replace_defaults(sui).await.unwrap();
    assert_eq!(
        chain(send(&setup, &other, post("{}")).await.unwrap()).await,
        "sui"
    );
    assert_eq!(setup.sipher.session_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_manager_without_sessions_refuses_what_needs_one() {
    let setup = Setup::new();
    let builder = setup.builder().api_key(setup.sipher.api_key(Tier::Free));
    let builder = builder.inline_defaults(InlineDefaults::Always);
    let manager = builder.without_sessions().build().unwrap();
    assert_eq!(
        manager.session().await.unwrap_err().kind(),
        ErrorKind::Config
    );
    let applied = manager.apply(&mut http::HeaderMap::new()).await;
    assert_eq!(applied.unwrap_err().kind(), ErrorKind::Config);
    let mut call = post("{}");
    let gzip = "gzip".parse().unwrap();
    call.headers_mut().insert("content-encoding", gzip);
    let error = send(&setup, &manager, call).await.unwrap_err();
    let error = Error::find(&*error).unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert!(setup.uses().is_empty());
    assert_eq!(setup.sipher.session_calls(), 0);
    assert_eq!(
        chain(send(&setup, &manager, post("{}")).await.unwrap()).await,
        "near"
    );
}
