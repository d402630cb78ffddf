//! A group's defaults as a last-writer-wins map: each field has the time of its last change, and of two changes the
//! later one wins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    api::{KNOWN_DEFAULTS, SessionDefaults},
    secret::to_json,
};

/// The changes of a group's defaults since its processes were built.
///
/// [`merge`](Self::merge) is commutative, associative and idempotent. So all processes that have seen the same changes
/// have the same defaults, in whatever order the changes came.
#[derive(Clone, Default, PartialEq, Deserialize, Serialize)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct LwwDefaults {
    /// When each field was last changed, in milliseconds of the store's clock. The keys are the fields' JSON names.
    changed: BTreeMap<String, u64>,
    /// The values of the changed fields. A field that is in `changed` and has no value here was removed.
    values: SessionDefaults,
}

impl LwwDefaults {
    /// Reads the map that another process has written. A value without a time is no change, and is ignored.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let read: Self = serde_json::from_slice(json).ok()?;
        let mut clean = Self::default();
        clean.merge(&read);
        Some(clean)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty()
    }

    /// Returns when a field was last changed, or zero if it never was.
    pub(crate) fn changed_at(&self, name: &str) -> u64 {
        self.changed.get(name).copied().unwrap_or_default()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.changed.keys()
    }

    /// Sets a field to its value in `values`, or removes the field if it has none there. Does nothing if a later change
    /// is known.
    pub(crate) fn set(&mut self, name: &str, at: u64, values: &SessionDefaults) {
        if self.is_older(name, at, values) {
            copy(values, name, &mut self.values);
            self.changed.insert(name.to_owned(), at);
        }
    }

    /// Takes over every field of which `other` has a later change.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (name, at) in &other.changed {
            self.set(name, *at, &other.values);
        }
    }

    /// Returns whether `other` has no later change of any field.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let mut changes = other.changed.iter();
        changes.all(|(name, at)| !self.is_older(name, *at, &other.values))
    }

    /// Returns the defaults `built_with` after these changes.
    pub(crate) fn over(&self, built_with: &SessionDefaults) -> SessionDefaults {
        let mut now = built_with.clone();
        for name in self.changed.keys() {
            copy(&self.values, name, &mut now);
        }
        now
    }

    /// Returns whether the known change of the field is older than the one at `at`. Of two changes in the same
    /// millisecond the one with the higher value counts as later, so that all processes pick the same winner.
    fn is_older(&self, name: &str, at: u64, values: &SessionDefaults) -> bool {
        let Some(known) = self.changed.get(name) else {
            return true;
        };
        *known < at || (*known == at && ranks_below(&self.values, values, name))
    }
}

/// Returns the names of all fields that have a value.
pub(crate) fn names_in(defaults: &SessionDefaults) -> Vec<String> {
    let others = defaults.other.keys().map(String::as_str);
    let names = KNOWN_DEFAULTS.into_iter().chain(others);
    let has_value = |name: &&str| {
        let mut alone = SessionDefaults::default();
        copy(defaults, name, &mut alone);
        !alone.is_empty()
    };
    names.filter(has_value).map(str::to_owned).collect()
}

/// Copies a field from `from` to `to`, or removes it from `to` if `from` has none.
pub(crate) fn copy(from: &SessionDefaults, name: &str, to: &mut SessionDefaults) {
    match name {
        "chain" => to.chain.clone_from(&from.chain),
        "privacyLevel" => to.privacy_level.clone_from(&from.privacy_level),
        "rpcProvider" => to.rpc_provider.clone_from(&from.rpc_provider),
        "backend" => to.backend.clone_from(&from.backend),
        "defaultViewingKey" => to.default_viewing_key.clone_from(&from.default_viewing_key),
        _ => match from.other.get(name) {
            Some(value) => {
                to.other.insert(name.to_owned(), value.clone());
            }
            None => {
                to.other.remove(name);
            }
        },
    }
}

/// Orders the values of a field. Any value ranks above none.
fn ranks_below(one: &SessionDefaults, other: &SessionDefaults, name: &str) -> bool {
    let rank = |values: &SessionDefaults| {
        let mut alone = SessionDefaults::default();
        copy(values, name, &mut alone);
        (!alone.is_empty(), to_json(&alone))
    };
    let ((has_one, one), (has_other, other)) = (rank(one), rank(other));
    (has_one, one.as_slice()) < (has_other, other.as_slice())
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;
    use crate::{Backend, Chain, PrivacyLevel, RpcProvider};

    /// Draws a map with few values and few times, so that fields collide in all ways.
    fn any(rng: &mut Rng) -> LwwDefaults {
        let mut drawn = LwwDefaults::default();
        for _ in 0..rng.usize(0..6) {
            let mut values = SessionDefaults::new();
            if rng.bool() {
                values = values.chain(if rng.bool() { Chain::Near } else { Chain::Sui });
            }
            if rng.bool() {
                values = values.privacy_level(if rng.bool() {
                    PrivacyLevel::Maximum
                } else {
                    PrivacyLevel::Standard
                });
            }
            if rng.bool() {
                values = values.default_viewing_key(format!("0x{}", rng.u8(0..2)));
            }
            if rng.bool() {
                values = values.other("colour", rng.u8(0..2));
            }
            let names = ["chain", "privacyLevel", "defaultViewingKey", "colour"];
            drawn.set(rng.choice(names).unwrap(), rng.u64(1..4), &values);
        }
        drawn
    }

    fn merged(one: &LwwDefaults, other: &LwwDefaults) -> LwwDefaults {
        let mut merged = one.clone();
        merged.merge(other);
        merged
    }

    #[test]
    fn merging_is_commutative_associative_and_idempotent() {
        let mut rng = Rng::with_seed(15);
        for _ in 0..20_000 {
            let (a, b, c) = (any(&mut rng), any(&mut rng), any(&mut rng));
            assert_eq!(merged(&a, &b), merged(&b, &a));
            assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
            assert_eq!(merged(&a, &a), a);
            let both = merged(&a, &b);
            assert!(both.covers(&a) && both.covers(&b));
            assert_eq!(a.covers(&b), both == a);
            let read = LwwDefaults::parse(&to_json(&a));
            assert_eq!(read, Some(a));
        }
    }

    #[test]
    fn each_field_is_what_its_last_writer_made_it() {
        let mut one = LwwDefaults::default();
        let built_with = SessionDefaults::new().chain(Chain::Near);
        one.set(
            "privacyLevel",
            5,
            &SessionDefaults::new().privacy_level(PrivacyLevel::Maximum),
        );
        let mut other = LwwDefaults::default();
        other.set("chain", 7, &SessionDefaults::new().chain(Chain::Sui));
        other.set("privacyLevel", 4, &SessionDefaults::new());
        one.merge(&other);
        let expected = SessionDefaults::new()
            .chain(Chain::Sui)
            .privacy_level(PrivacyLevel::Maximum);
        assert_eq!(one.over(&built_with), expected);
        one.set("chain", 8, &SessionDefaults::new());
        assert_eq!(one.over(&built_with).chain, None, "taken away");
    }

    #[test]
    fn every_field_is_copied_by_its_own_name() {
        let all = SessionDefaults::new()
            .chain(Chain::Near)
            .privacy_level(PrivacyLevel::Maximum)
            .rpc_provider(RpcProvider::Helius)
            .backend(Backend::KNOWN[0].clone())
            .default_viewing_key("0xfeed")
            .other("colour", "red");
        let mut copied = SessionDefaults::new();
        for name in names_in(&all) {
            copy(&all, &name, &mut copied);
        }
        assert_eq!(copied, all);
        assert_eq!(names_in(&all).len(), KNOWN_DEFAULTS.len() + 1);
    }

    #[test]
    fn a_value_without_a_time_is_no_change() {
        let read = LwwDefaults::parse(br#"{"changed":{},"values":{"chain":"sui"}}"#);
        assert_eq!(read, Some(LwwDefaults::default()));
        assert_eq!(LwwDefaults::parse(b"{}"), None);
    }

    #[test]
    fn of_two_changes_in_one_millisecond_the_higher_value_wins_and_any_value_over_none() {
        let of = |chain: Option<&str>| {
            let mut values = SessionDefaults::new();
            values.chain = chain.map(Into::into);
            let mut state = LwwDefaults::default();
            state.set("chain", 5, &values);
            state
        };
        for (lower, higher) in [(None, Some("near")), (Some("near"), Some("sui"))] {
            let (lower, higher) = (of(lower), of(higher));
            for (one, other) in [(&lower, &higher), (&higher, &lower)] {
                let mut merged = one.clone();
                merged.merge(other);
                assert_eq!(merged, higher);
            }
        }
    }
}
