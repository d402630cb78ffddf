//! The settings as a JSON schema, for editors and for checks before a deployment.
//!
//! The schema sees one file, so it checks each setting alone. It refuses nothing that reading and building accept.
//! Rules about two settings are checked when the manager is built, because the second setting may come from the
//! environment.

mod durations;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Value, json};

use self::durations::{duration, lasting};
use super::{fields, secrets};
use crate::{
    api::{Backend, Chain, LONGEST_VIEWING_KEY, MAX_TTL, MIN_TTL, PrivacyLevel, RpcProvider},
    front::builder::defaults::{
        CREATE_TIMEOUT, LINGER, MAX_SESSIONS, MAX_WAIT, TTL, VERIFY_AFTER, VERIFY_AFTER_RANGE,
    },
    model::{
        budget,
        inlining::InlineDefaults,
        outside::Outside,
        settings::{ForeignIds, OnNoSession},
    },
    scope::{Aliases, DEFAULT_BASE_URL, MAX_URL},
    secret,
};
#[cfg(feature = "store")]
use crate::{
    front::builder::defaults::{LEAST_MEMBER_LEASE, MEMBER_LEASE},
    model::settings::OnStoreDown,
};

/// Gives each setting its schema. A setting that has no line below does not compile with the feature `schema`.
macro_rules! settings {
    ($($(#[$cfg:meta])* $place:ident::$name:ident: $schema:expr;)+) => {$(
        $(#[$cfg])*
        impl JsonSchema for $place::$name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    )+};
}

settings! {
    secrets::api_key: secret(&format!("^[!-~]{{1,{}}}$", secret::MAX_KEY));
    fields::api_key_file: path();
    fields::base_url: by_default(DEFAULT_BASE_URL, optional("string", url()));
    fields::aliases: optional("array", json!({"items": is_url(), "maxItems": Aliases::MOST}));
    fields::allow_plain_http: by_default(false, optional("boolean", json!({})));
    fields::chain: words(Chain::KNOWN);
    fields::privacy_level: words(PrivacyLevel::KNOWN);
    fields::rpc_provider: words(RpcProvider::KNOWN);
    fields::backend: words(Backend::KNOWN);
    secrets::viewing_key: secret(&format!("^0x[0-9a-fA-F]{{1,{}}}$", LONGEST_VIEWING_KEY - "0x".len()));
    fields::default_viewing_key_file: path();
    fields::ttl: lasting(TTL, duration(MIN_TTL..=MAX_TTL));
    fields::create_timeout: lasting(CREATE_TIMEOUT, durations::above_zero());
    fields::max_wait: lasting(MAX_WAIT, durations::above_zero());
    fields::linger: lasting(LINGER, durations::any());
    fields::verify_after: lasting(VERIFY_AFTER, duration(VERIFY_AFTER_RANGE));
    fields::verify_every: durations::above_zero();
    fields::on_no_session: choice(&[OnNoSession::Fail, OnNoSession::SendWithout]);
    fields::foreign_ids: choice(&[ForeignIds::Refuse, ForeignIds::Replace, ForeignIds::Keep]);
    fields::on_outside: choice(&[Outside::Pass, Outside::Refuse]);
    fields::inline_defaults: choice(&[InlineDefaults::Off, InlineDefaults::WithoutSession, InlineDefaults::Always]);
    fields::inline_strict: by_default(false, optional("boolean", json!({})));
    fields::without_sessions: by_default(false, optional("boolean", json!({})));
    fields::max_sessions: by_default(MAX_SESSIONS, number(1, u64::MAX));
    fields::per_minute: by_default(budget::PER_MINUTE, number(1, u32::MAX.into()));
    fields::burst: by_default(budget::BURST, number(1, u32::MAX.into()));
    fields::upkeep_per_day: by_default(budget::UPKEEP_PER_DAY, number(0, u32::MAX.into()));
    #[cfg(feature = "store")]
    fields::on_store_down: choice(&[OnStoreDown::OwnSession, OnStoreDown::Fail]);
    #[cfg(feature = "store")]
    fields::member_lease: lasting(MEMBER_LEASE, durations::at_least(LEAST_MEMBER_LEASE));
    #[cfg(feature = "store")]
    fields::verify_adopted: by_default(false, optional("boolean", json!({})));
}

/// Adds a rule: at most one of a secret and its file may be set.
pub(super) fn not_both(schema: &mut Schema, secret: &str) {
    let file = format!("{secret}_file");
    let set = json!({"not": {"const": null}});
    let both = json!({"required": [secret, file], "properties": {secret: set, file: set}});
    schema.insert("not".into(), both);
}

/// Returns the schema of a value of this type, or of `null`. `null` means that the setting is not set.
fn optional(kind: &str, rules: Value) -> Schema {
    let mut schema = json_schema!({"type": [kind, "null"]});
    if let Value::Object(rules) = rules {
        schema.ensure_object().extend(rules);
    }
    schema
}

fn by_default(value: impl Serialize, mut schema: Schema) -> Schema {
    schema.insert("default".into(), json!(value));
    schema
}

/// Returns the schema of a secret. It names no default and no example. It refuses `[redacted]`, which is written in
/// place of a secret.
fn secret(pattern: &str) -> Schema {
    let rules = json!({"pattern": pattern, "not": {"const": secrets::REDACTED}, "writeOnly": true});
    optional("string", rules)
}

fn path() -> Schema {
    optional("string", json!({"minLength": 1}))
}

fn number(least: u64, most: u64) -> Schema {
    optional("integer", json!({"minimum": least, "maximum": most}))
}

fn words(words: &[impl Serialize]) -> Schema {
    let words: Vec<_> = words.iter().map(|word| json!(word)).collect();
    json_schema!({"enum": words.into_iter().chain([Value::Null]).collect::<Vec<_>>()})
}

/// Returns the schema of a setting that is one of a few words.
fn choice<T: Serialize + Default>(all: &[T]) -> Schema {
    by_default(T::default(), words(all))
}

fn url() -> Value {
    json!({
        "pattern": r#"^[Hh][Tt][Tt][Pp][Ss]?://[!"$-.0->A-~][!"$->@-~]*$"#,
        "maxLength": MAX_URL,
        "not": {"type": "string", "pattern": "^[^/]*//[^/]+/(.*/)?[vV]1/*$"},
    })
}

fn is_url() -> Value {
    let mut rules = url();
    rules["type"] = "string".into();
    rules
}
