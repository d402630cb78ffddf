//! Whose defaults a request may have, after changes.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::{Checker, Deed, Group, Who};

/// What has been changed in a group so far.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) values: Vec<Value>,
    pub(super) patches: Vec<Value>,
    pub(super) by: HashSet<Who>,
    /// Changes under way: each process makes its own one after another, and the next may be in use before the last has returned.
    pub(super) open: usize,
    /// What the only one who has changed anything has now, if that is certain.
    pub(super) now: Option<Value>,
}

impl Changes {
    /// Adds whatever a process of the group may have from here on: it may hear of changes in any order, and of some only.
    pub(super) fn begins(&mut self, home: Value, to: &Value, is_patch: bool) {
        if self.values.is_empty() {
            self.values.push(home);
        }
        if is_patch {
            self.patches.push(to.clone());
        } else {
            self.values.push(to.clone());
        }
        let mut next = 0;
        while let Some(base) = self.values.get(next).cloned() {
            for patch in &self.patches {
                let merged = merged(&base, patch);
                if !self.values.contains(&merged) {
                    self.values.push(merged);
                }
            }
            next += 1;
        }
    }
}

fn merged(base: &Value, patch: &Value) -> Value {
    let mut merged = base.clone();
    if let (Some(merged), Some(patch)) = (merged.as_object_mut(), patch.as_object()) {
        let fields = patch
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        merged.extend(fields);
    }
    merged
}

impl Checker<'_> {
    /// Those who were built alike have the same defaults, if nothing kept them from hearing of a change.
    pub(super) fn followed(&mut self, last: &[(Who, String, Option<String>)]) {
        let script = self.script();
        let is_deaf = |deed: &Deed| {
            matches!(
                deed,
                Deed::Flush
                    | Deed::Kill(_)
                    | Deed::Shutdown(..)
                    | Deed::SetBack(..)
                    | Deed::SetForward(..)
            )
        };
        let are_alike = script.places.iter().all(|place| place.ahead == 0);
        if !are_alike || script.has(is_deaf) {
            return;
        }
        let mut groups: BTreeMap<Group, HashSet<&str>> = BTreeMap::new();
        for (who, partition, _) in last {
            groups
                .entry(self.group(*who))
                .or_default()
                .insert(partition);
        }
        for (group, partitions) in groups {
            if partitions.len() > 1 {
                self.fails(format!("I9: apart: {group:?} has {partitions:?}"));
            }
        }
    }
}
