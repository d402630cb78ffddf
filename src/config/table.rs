//! Tables, which are read by the names of their members. Serde alone would take a list for one, by the order of its members.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::{CallBudgetConfig, DefaultsConfig, SessionConfig};

/// Takes tables alone for a type that serde derives with `remote = "Self"`, which leaves these traits to us.
macro_rules! by_name {
    ($($type:ident = $what:literal),+) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                struct ByName;

                impl<'de> Visitor<'de> for ByName {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }

                    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<$type, A::Error> {
                        // What serde has derived.
                        $type::deserialize(MapAccessDeserializer::new(members))
                    }
                }

                d.deserialize_map(ByName)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                $type::serialize(self, s)
            }
        }
    )+};
}

by_name!(
    SessionConfig = "a table of settings",
    DefaultsConfig = "the table `defaults`",
    CallBudgetConfig = "the table `call_budget`"
);

/// A table in a table; `null` is one with nothing in it.
pub(super) fn or_default<'de, D, T>(d: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(d).map(Option::unwrap_or_default)
}
