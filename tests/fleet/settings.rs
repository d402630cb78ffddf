//! The settings of a fleet, from files and the environment.

use std::time::Duration;

use serde_json::json;
use sipher_session::{OnStoreDown, SessionConfig, SessionManager, SessionManagerBuilder};

#[test]
fn a_file_and_the_environment_have_the_settings_of_a_fleet() {
    let file = json!({"on_store_down": "fail", "member_lease": "2m", "verify_adopted": true});
    let from_file: SessionConfig = serde_json::from_value(file).unwrap();
    let from_env = SessionConfig::from_variables(|name| match name {
        "SIPHER_ON_STORE_DOWN" => Some("fail".into()),
        "SIPHER_MEMBER_LEASE" => Some("120s".into()),
        "SIPHER_VERIFY_ADOPTED" => Some("true".into()),
        _ => None,
    });
    assert_eq!(from_env.unwrap(), from_file);
    assert_eq!(from_file.on_store_down, Some(OnStoreDown::Fail));
    assert_eq!(from_file.member_lease, Some(Duration::from_secs(120)));
    assert_eq!(from_file.verify_adopted, Some(true));

    let nothing = json!({"on_store_down": null, "member_lease": null, "verify_adopted": null});
    let nothing: SessionConfig = serde_json::from_value(nothing).unwrap();
    assert_eq!(nothing.or(from_file.clone()), from_file);
    let written = serde_json::to_value(&from_file).unwrap();
    assert_eq!(
        serde_json::from_value::<SessionConfig>(written).unwrap(),
        from_file
    );
}

#[test]
fn they_reach_the_builder_and_what_is_set_after_them_wins() {
    let short: SessionConfig = serde_json::from_value(json!({"member_lease": "29s"})).unwrap();
    let error = SessionManager::from_config(short.clone()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "member_lease: is 29s; expected 30s or more"
    );
    let longer = SessionManagerBuilder::from_config(short).unwrap();
    let built = longer.member_lease(Duration::from_secs(30)).trust_adopted();
    assert!(built.build().is_ok());

    for (config, complaint) in [
        (
            json!({"member_lease": 300}),
            "member_lease: is the number 300; ",
        ),
        (
            json!({"on_store_down": "own"}),
            "on_store_down: unknown variant `own`",
        ),
        (
            json!({"verify_adopted": "yes"}),
            "verify_adopted: invalid type: string",
        ),
    ] {
        let error = serde_json::from_value::<SessionConfig>(config).unwrap_err();
        assert!(error.to_string().starts_with(complaint), "{error}");
    }
}
