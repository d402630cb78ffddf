//! The tables within the settings.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{fields, secrets};
use crate::{
    api::{Backend, Chain, PrivacyLevel, RpcProvider},
    secret::ViewingKey,
};

/// The defaults in a [`SessionConfig`](crate::SessionConfig). None of them is set by default: then the server's own apply.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(transform = |it: &mut schemars::Schema| super::schema::not_both(it, "default_viewing_key"))
)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct DefaultsConfig {
    /// The blockchain. Set it if you depend on it: without it, the server uses Solana.
    #[serde(with = "fields::chain", skip_serializing_if = "Option::is_none")]
    pub chain: Option<Chain>,
    /// How much of a payment is hidden.
    #[serde(
        with = "fields::privacy_level",
        skip_serializing_if = "Option::is_none"
    )]
    pub privacy_level: Option<PrivacyLevel>,
    /// The provider of the access to the chain.
    #[serde(with = "fields::rpc_provider", skip_serializing_if = "Option::is_none")]
    pub rpc_provider: Option<RpcProvider>,
    /// The backend that hides payments.
    #[serde(with = "fields::backend", skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
    /// The key that lets an auditor see payments: `0x` and hexadecimal digits.
    #[serde(with = "secrets::viewing_key", skip_serializing_if = "Option::is_none")]
    pub default_viewing_key: Option<ViewingKey>,
    /// A file that contains the viewing key and nothing else. Blanks and line ends around the key are ignored.
    #[serde(
        with = "fields::default_viewing_key_file",
        skip_serializing_if = "Option::is_none"
    )]
    pub default_viewing_key_file: Option<PathBuf>,
}

/// The budget of session calls in a [`SessionConfig`](crate::SessionConfig).
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct CallBudgetConfig {
    /// How many calls a minute on average. Defaults to 60. Raise it if `Event::BudgetUsedUp` comes
    /// often and your other calls leave room.
    #[serde(with = "fields::per_minute", skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
    /// How many calls at once. Defaults to 60. Raise it if many tenants start at the same time.
    #[serde(with = "fields::burst", skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// How many checks and deletes one API key may cost in a day. Defaults to 500. Lower it if other programs use the
    /// same key.
    #[serde(
        with = "fields::upkeep_per_day",
        skip_serializing_if = "Option::is_none"
    )]
    pub upkeep_per_day: Option<u32>,
}
