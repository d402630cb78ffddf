//! Settings that are null, and settings that undo others.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use sipher_session::{ErrorKind, SessionConfig, SessionManager};

use crate::whole;

#[test]
fn null_is_the_same_as_no_such_setting_wherever_it_stands() {
    let whole: SessionConfig = toml::from_str(&whole()).unwrap();
    let mut written = serde_json::to_value(whole).unwrap();
    let silent = |value: &mut serde_json::Value| {
        let members = value.as_object_mut().unwrap();
        members
            .values_mut()
            .for_each(|member| *member = serde_json::Value::Null);
    };
    silent(&mut written["defaults"]);
    silent(&mut written["call_budget"]);
    let inner = json!({"defaults": written["defaults"], "call_budget": written["call_budget"]});
    silent(&mut written);
    for nothing in [inner, written] {
        let read: SessionConfig = serde_json::from_value(nothing.clone()).unwrap();
        assert_eq!(read, SessionConfig::default(), "{nothing}");
    }
    for file in ["api_key_file", "base_url"] {
        let read: SessionConfig = serde_json::from_value(json!({ file: null })).unwrap();
        assert_eq!(read, SessionConfig::default());
    }
}

#[test]
fn what_a_file_switches_on_can_be_switched_off_again() {
    use sipher_session::SessionManagerBuilder;

    let plain = json!({"base_url": "http://sipher.internal", "allow_plain_http": true});
    let read = || SessionConfig::deserialize(&plain).unwrap();
    assert!(SessionManager::from_config(read()).is_ok());
    let builder = SessionManagerBuilder::from_config(read()).unwrap();
    let error = builder.forbid_plain_http().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let overruled: SessionConfig =
        serde_json::from_value(json!({"allow_plain_http": false})).unwrap();
    assert!(SessionManager::from_config(overruled.or(read())).is_err());

    let alone = json!({"without_sessions": true});
    let builder =
        || SessionManagerBuilder::from_config(SessionConfig::deserialize(&alone).unwrap());
    assert!(
        builder().unwrap().build().is_err(),
        "nothing would bring the defaults"
    );
    assert!(builder().unwrap().with_sessions().build().is_ok());

    let none = SessionManager::builder()
        .verify_every(Duration::ZERO)
        .verify_every(None);
    assert!(none.build().is_ok());
}
