//! Reads single settings, with errors that name the setting.
//!
//! An error shows the wrong value. If the value looks like a key, it is hidden: the user may have put a key into the
//! wrong setting.

use std::{fmt, marker::PhantomData, path::PathBuf, time::Duration};

use serde::{
    Deserializer, Serializer,
    de::{self, IntoDeserializer},
};

#[cfg(feature = "store")]
use crate::model::settings::OnStoreDown;
use crate::{
    api::{Backend, Chain, PrivacyLevel, RpcProvider, scrub},
    model::{
        inlining::InlineDefaults,
        outside::Outside,
        settings::{ForeignIds, OnNoSession},
    },
};

/// Generates a type for serde's `with` that reads and writes an optional duration.
macro_rules! duration {
    ($($name:ident),+) => {$(
        #[allow(non_camel_case_types)] // the name of the setting
        pub(super) enum $name {}

        impl $name {
            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
                d.deserialize_option(Optional(Humane(stringify!($name))))
            }

            #[allow(clippy::ref_option)] // serde requires this form
            pub(crate) fn serialize<S: Serializer>(value: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(&humantime::format_duration(value.unwrap_or_default()))
            }
        }
    )+};
}

duration!(
    ttl,
    create_timeout,
    max_wait,
    linger,
    verify_after,
    verify_every
);
#[cfg(feature = "store")]
duration!(member_lease);

/// Generates a type for serde's `with`, for a default that a session stores. An unknown value is an error. In the
/// server's answers it is not.
macro_rules! known {
    ($($name:ident: $type:ident),+) => {$(
        #[allow(non_camel_case_types)] // the name of the setting
        pub(super) enum $name {}

        impl $name {
            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<$type>, D::Error> {
                let name = stringify!($name);
                let Some(text) = named_in("defaults.", name, <Option<String> as de::Deserialize>::deserialize(d))? else {
                    return Ok(None);
                };
                match $type::from(text.as_str()) {
                    $type::Other(text) => {
                        let known: Vec<_> = $type::KNOWN.iter().map(|known| format!("`{known}`")).collect();
                        let (known, text) = (known.join(", "), scrub::text(&text, &[]));
                        Err(de::Error::custom(format!("defaults.{name}: is `{text}`; expected one of {known}")))
                    }
                    known => Ok(Some(known)),
                }
            }

            #[allow(clippy::ref_option)] // serde requires this form
            pub(crate) fn serialize<S: Serializer>(value: &Option<$type>, s: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(value, s)
            }
        }
    )+};
}

known!(chain: Chain, privacy_level: PrivacyLevel, rpc_provider: RpcProvider, backend: Backend);

/// Generates a type for serde's `with`, for a value whose own errors do not name the setting.
macro_rules! named {
    ($($name:ident: $type:ty = $path:literal),+) => {$(
        #[allow(non_camel_case_types)] // the name of the setting
        pub(super) enum $name {}

        impl $name {
            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<$type>, D::Error> {
                named_in("", $path, de::Deserialize::deserialize(d))
            }

            #[allow(clippy::ref_option)] // serde requires this form
            pub(crate) fn serialize<S: Serializer>(value: &Option<$type>, s: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(value, s)
            }
        }
    )+};
}

named!(
    api_key_file: PathBuf = "api_key_file",
    default_viewing_key_file: PathBuf = "defaults.default_viewing_key_file",
    base_url: String = "base_url",
    aliases: Vec<String> = "aliases",
    allow_plain_http: bool = "allow_plain_http",
    inline_strict: bool = "inline_strict",
    without_sessions: bool = "without_sessions",
    max_sessions: u64 = "max_sessions",
    per_minute: u32 = "call_budget.per_minute",
    burst: u32 = "call_budget.burst",
    upkeep_per_day: u32 = "call_budget.upkeep_per_day"
);
#[cfg(feature = "store")]
named!(verify_adopted: bool = "verify_adopted");

/// Generates a type for serde's `with`, for an enum that is written as one of a few words.
macro_rules! choice {
    ($($name:ident: $type:ty),+) => {$(
        #[allow(non_camel_case_types)] // the name of the setting
        pub(super) enum $name {}

        impl $name {
            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<$type>, D::Error> {
                d.deserialize_option(Optional(Choice(stringify!($name), PhantomData)))
            }

            #[allow(clippy::ref_option)] // serde requires this form
            pub(crate) fn serialize<S: Serializer>(value: &Option<$type>, s: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(value, s)
            }
        }
    )+};
}

choice!(
    on_no_session: OnNoSession,
    foreign_ids: ForeignIds,
    on_outside: Outside,
    inline_defaults: InlineDefaults
);
#[cfg(feature = "store")]
choice!(on_store_down: OnStoreDown);

/// Adds the setting's name to an error.
fn named_in<T, E: de::Error>(table: &str, name: &str, value: Result<T, E>) -> Result<T, E> {
    value.map_err(|error| {
        let text = scrub::text(&error.to_string(), &[]);
        E::custom(format!("{table}{name}: {}", in_plain_words(&text)))
    })
}

/// Replaces the names of Rust types in serde's message with words that every reader knows.
fn in_plain_words(text: &str) -> String {
    text.replace("expected u64", "expected a whole number")
        .replace("expected u32", "expected a whole number below 2^32")
        .replace("expected a boolean", "expected true or false")
}

/// Generates a function that reads a table. `null` counts as an empty table.
macro_rules! table {
    ($($name:ident: $type:ident),+) => {$(
        pub(super) fn $name<'de, D: Deserializer<'de>>(d: D) -> Result<super::$type, D::Error> {
            let table = d.deserialize_option(Optional(Table(stringify!($name), PhantomData)))?;
            Ok(table.unwrap_or_default())
        }
    )+};
}

table!(defaults: DefaultsConfig, call_budget: CallBudgetConfig);

/// Reads a value that may be missing. `null` counts as missing.
struct Optional<V>(V);

impl<'de, V: de::Visitor<'de>> de::Visitor<'de> for Optional<V> {
    type Value = Option<V::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_any(self.0).map(Some)
    }
}

/// Reads a table by the names of its members. Without this, serde would also accept a list, and read it by position.
struct Table<T>(&'static str, PhantomData<T>);

impl<'de, T: de::Deserialize<'de> + Default> de::Visitor<'de> for Table<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the table `{}`", self.0)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(members))
    }
}

/// Reads one of a few words.
struct Choice<T>(&'static str, PhantomData<T>);

impl<T: de::DeserializeOwned> Choice<T> {
    fn read<E: de::Error>(text: &str) -> Result<T, E> {
        T::deserialize(text.into_deserializer())
    }

    /// Creates an error that lists the valid words. The list comes from serde's own error about a word that does not
    /// exist.
    fn wrong<E: de::Error>(&self, value: impl fmt::Display) -> E {
        let error = Self::read::<E>("").err().map(|error| error.to_string());
        let words = error
            .as_deref()
            .and_then(|text| text.split_once("expected "));
        let words = words.map_or("a word", |(_, words)| words);
        E::custom(format!("{}: is {value}; expected {words}", self.0))
    }
}

impl<'de, T: de::DeserializeOwned> de::Visitor<'de> for Choice<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: a word", self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        named_in("", self.0, Self::read(text))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Err(self.wrong(value))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Err(self.wrong(format_args!("the number {number}")))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Err(self.wrong(format_args!("the number {number}")))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(self.wrong("a list"))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(self.wrong("a table"))
    }
}

struct Humane(&'static str);

impl Humane {
    fn wrong<E: de::Error>(&self, value: impl fmt::Display) -> E {
        let name = self.0;
        E::custom(format!(
            "{name}: is {value}; expected a duration with its unit, such as \"1h\" or \"90s\""
        ))
    }
}

impl de::Visitor<'_> for Humane {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: a duration with its unit, such as \"1h\" or \"90s\"",
            self.0
        )
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        humantime::parse_duration(text)
            .map_err(|_| self.wrong(format_args!("`{}`", scrub::text(text, &[]))))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Err(self.wrong(format_args!("the number {number}")))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Err(self.wrong(format_args!("the number {number}")))
    }
}
