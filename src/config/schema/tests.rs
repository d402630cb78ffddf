//! Compares the schema with what reading and building accept.

// Needs both features: the module builds managers for https, and tests all settings.
#[cfg(all(feature = "rustls", feature = "store"))]
mod verdicts;

use std::{collections::BTreeSet, env, fs, path::Path};

use serde_json::{Value, json};

use crate::SessionConfig;

fn schema() -> Value {
    schemars::schema_for!(SessionConfig).to_value()
}

/// Each setting by its path, with its schema.
fn settings(schema: &Value) -> Vec<(String, &Value)> {
    let below = |table: &str, object: &'static str| {
        let properties = schema.pointer(object).unwrap().as_object().unwrap();
        let table = table.to_owned();
        properties
            .iter()
            .map(move |(name, setting)| (format!("{table}{name}"), setting))
    };
    let tables = below("defaults.", "/$defs/DefaultsConfig/properties")
        .chain(below("call_budget.", "/$defs/CallBudgetConfig/properties"));
    below("", "/properties").chain(tables).collect()
}

/// Returns the names that serde's error lists as valid.
fn expected(config: Value) -> BTreeSet<String> {
    let error = serde_json::from_value::<SessionConfig>(config)
        .unwrap_err()
        .to_string();
    let (_, names) = error.split_once("expected ").unwrap();
    names
        .split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_setting_is_in_it_with_a_description_in_plain_words() {
    let schema = schema();
    let settings = settings(&schema);
    let within = |table: &str| -> Vec<_> {
        let names = expected(json!({ table: {"?": 0} })).into_iter();
        names.map(|name| format!("{table}.{name}")).collect()
    };
    let read = expected(json!({"?": 0})).into_iter();
    let read = read.chain(within("defaults")).chain(within("call_budget"));
    let described: BTreeSet<_> = settings.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(described, read.collect());
    for (name, setting) in settings {
        let description = setting["description"].as_str().unwrap_or_default();
        assert!(
            description.len() > 10 && description.ends_with('.'),
            "{name}: {description}"
        );
        assert!(
            !description.contains("]("),
            "a link of rustdoc: {name}: {description}"
        );
    }
    assert!(!schema["description"].as_str().unwrap().contains("]("));
}

#[test]
fn words_are_those_that_are_read() {
    for (name, setting) in settings(&schema()) {
        let Some(words) = setting["enum"].as_array() else {
            continue;
        };
        let path = name.split('.').rev();
        let wrong = path.fold(json!("?"), |value, key| json!({ key: value }));
        let mut read: BTreeSet<_> = expected(wrong)
            .into_iter()
            .map(Value::from)
            .map(|it| it.to_string())
            .collect();
        read.insert("null".to_owned());
        assert_eq!(
            words.iter().map(Value::to_string).collect::<BTreeSet<_>>(),
            read,
            "{name}"
        );
    }
}

#[test]
fn no_secret_has_a_default_and_each_is_only_written() {
    for (name, setting) in settings(&schema()) {
        let is_secret = ["api_key", "defaults.default_viewing_key"].contains(&name.as_str());
        assert_eq!(setting["writeOnly"] == true, is_secret, "{name}");
        assert!(!is_secret || setting.get("default").is_none(), "{name}");
    }
}

#[test]
fn the_guide_names_each_setting_with_its_default() {
    let guide = include_str!("../../guide/configuration.md");
    let mut compared = 0;
    for (path, setting) in settings(&schema()) {
        let cells = guide
            .lines()
            .map(|line| line.split(" | ").collect::<Vec<_>>());
        let mut rows =
            cells.filter(|cells| cells.len() == 4 && cells[0].contains(&format!("`{path}`")));
        let is_table = ["defaults", "call_budget"].contains(&path.as_str());
        let Some(row) = rows.next() else {
            assert!(is_table, "no row of {path}");
            continue;
        };
        match &setting["default"] {
            Value::Null => assert!(
                ["none", "not set", "`https://sipher.sip-protocol.org`"]
                    .iter()
                    .any(|it| row[2].starts_with(it)),
                "{path}: {}",
                row[2]
            ),
            default => {
                let default = default
                    .as_str()
                    .map_or_else(|| default.to_string(), str::to_owned);
                assert!(
                    row[2].replace(',', "").contains(&default),
                    "{path}: {} for {default}",
                    row[2]
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 15, "{compared}");
}

/// With `WRITE_SCHEMA=1`, the test writes the file instead of comparing it.
#[cfg(feature = "store")]
#[test]
fn it_is_the_one_in_the_documents() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.schema.json");
    let text = format!("{:#}\n", schema());
    if env::var_os("WRITE_SCHEMA").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/config.schema.json is out of date: WRITE_SCHEMA=1 cargo test --lib --all-features config::schema"
    );
}
