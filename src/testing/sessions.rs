//! The sessions: one memory for each replica, and the store behind them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use super::log::DeadReason;

/// One session, as stored by one replica or by the store. Times are milliseconds since 1970.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) id: String,
    /// The API key that created the session.
    pub(super) owner: String,
    pub(super) defaults: Map<String, Value>,
    pub(super) created: u64,
    pub(super) expires: u64,
    /// When the session really ends. The same as `expires`, unless a fault changed it.
    pub(super) dies: u64,
    pub(super) accessed: u64,
}

/// All sessions of all customers.
pub(super) struct Sessions {
    memories: Vec<Memory>,
    /// The store that several replicas share. A single replica has only its memory.
    store: Option<HashMap<String, Record>>,
    /// Why each session that is gone ended.
    graves: HashMap<String, DeadReason>,
    capacity: usize,
    sharing: Sharing,
}

/// Whether the processes share a store.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    /// The store is added with the second replica. A restart empties it.
    WithReplicas,
    /// There is a store, and it survives restarts.
    Kept,
    /// There is no store, for any number of replicas.
    Apart,
}

/// The sessions of one replica. In `order`, the least recently used one is first.
#[derive(Default)]
struct Memory {
    records: HashMap<String, (u64, Record)>,
    order: BTreeMap<u64, String>,
    uses: u64,
}

impl Sessions {
    pub(super) fn new() -> Self {
        Self {
            memories: vec![Memory::default()],
            store: None,
            graves: HashMap::new(),
            capacity: 10_000,
            sharing: Sharing::WithReplicas,
        }
    }

    pub(super) fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
        for replica in 0..self.memories.len() {
            self.make_room(replica);
        }
    }

    pub(super) fn set_replicas(&mut self, replicas: usize) {
        self.losing(|it| {
            it.memories.resize_with(replicas.max(1), Memory::default);
        });
        if self.memories.len() > 1 && self.sharing == Sharing::WithReplicas {
            self.open_store();
        }
    }

    pub(super) fn set_common_store(&mut self, is_there: bool) {
        if is_there {
            self.sharing = Sharing::Kept;
            self.open_store();
        } else {
            self.sharing = Sharing::Apart;
            self.losing(|it| it.store = None);
        }
    }

    pub(super) fn has_store(&self) -> bool {
        self.store.is_some()
    }

    /// Returns whether the store survives a restart.
    pub(super) fn keeps(&self) -> bool {
        self.sharing == Sharing::Kept
    }

    pub(super) fn restart(&mut self) {
        self.losing(|it| {
            it.memories.fill_with(Memory::default);
            if !it.keeps() {
                it.store.iter_mut().for_each(HashMap::clear);
            }
        });
    }

    pub(super) fn restart_replica(&mut self, replica: usize) {
        self.losing(|it| *it.memory(replica) = Memory::default());
    }

    /// Creates a store with all sessions that the processes know.
    fn open_store(&mut self) {
        if self.store.is_none() {
            let known = self.all().map(|record| (record.id.clone(), record.clone()));
            self.store = Some(known.collect());
        }
    }

    /// Makes a change, and records the sessions that no process knows any more afterwards.
    fn losing(&mut self, change: impl FnOnce(&mut Self)) {
        let ids: Vec<_> = self.all().map(|record| record.id.clone()).collect();
        change(self);
        for id in ids {
            if !self.is_known(&id) {
                self.graves.entry(id).or_insert(DeadReason::Forgotten);
            }
        }
    }

    /// Returns whether any replica would find the session.
    fn is_known(&self, id: &str) -> bool {
        (0..self.memories.len()).any(|replica| self.peek(replica, id).is_some())
    }

    /// Writes the whole record to the replica's memory and to the store.
    pub(super) fn write(&mut self, replica: usize, record: &Record) {
        if let Some(store) = &mut self.store {
            store.insert(record.id.clone(), record.clone());
        }
        self.memory(replica).put(record.clone());
        self.make_room(replica);
    }

    /// Finds a session of any owner, and writes its record back with a new `accessed`. Every use of a session does
    /// this.
    pub(super) fn touch(&mut self, replica: usize, id: &str, now: u64) -> Option<Record> {
        let mut record = self.peek(replica, id)?.clone();
        if now > record.dies {
            self.remove(replica, id, DeadReason::Expired);
            return None;
        }
        record.accessed = now;
        self.write(replica, &record);
        Some(record)
    }

    /// Removes a session from one replica and from the store. The other replicas keep their copies.
    pub(super) fn remove(&mut self, replica: usize, id: &str, why: DeadReason) {
        self.memory(replica).take(id);
        if let Some(store) = &mut self.store {
            store.remove(id);
        }
        self.graves.entry(id.to_owned()).or_insert(why);
    }

    /// Removes a session from all replicas and the store, as if it had been the least recently used.
    pub(super) fn evict(&mut self, id: &str) {
        for replica in 0..self.memories.len() {
            if self.peek(replica, id).is_some() {
                self.remove(replica, id, DeadReason::Evicted);
            }
        }
    }

    /// Returns the record that the replica would use for a well-formed id, or why there is none.
    ///
    /// This is stricter than the server: a deleted id stays dead even if a stale replica still knows it.
    pub(super) fn judge(
        &self,
        replica: usize,
        id: &str,
        key: Option<&str>,
        now: u64,
    ) -> Result<&Record, DeadReason> {
        if let Some(&why) = self.graves.get(id) {
            return Err(why);
        }
        let missing = || {
            if self.is_known(id) {
                DeadReason::Elsewhere
            } else {
                DeadReason::Unknown
            }
        };
        let record = self.peek(replica, id).ok_or_else(missing)?;
        if now > record.dies {
            Err(DeadReason::Expired)
        } else if key != Some(&record.owner) {
            Err(DeadReason::ForeignKey)
        } else {
            Ok(record)
        }
    }

    /// Returns every live session once: as the store has it, or else as the first replica that knows it.
    pub(super) fn live(&self, now: u64) -> impl Iterator<Item = &Record> {
        self.all().filter(move |record| now <= record.dies)
    }

    fn all(&self) -> impl Iterator<Item = &Record> {
        let stored = self.store.iter().flat_map(HashMap::values);
        let kept = self.memories.iter().flat_map(|m| m.records.values());
        let mut seen = std::collections::HashSet::new();
        let all = stored.chain(kept.map(|(_, record)| record));
        all.filter(move |record| seen.insert(&record.id))
    }

    fn peek(&self, replica: usize, id: &str) -> Option<&Record> {
        let kept = self.memories[replica % self.memories.len()].records.get(id);
        let stored = || self.store.as_ref()?.get(id);
        kept.map(|(_, record)| record).or_else(stored)
    }

    /// Returns a replica's memory. A request may be on its way to a replica that was removed since: another one then
    /// takes it.
    fn memory(&mut self, replica: usize) -> &mut Memory {
        let there = replica % self.memories.len();
        &mut self.memories[there]
    }

    fn make_room(&mut self, replica: usize) {
        let capacity = self.capacity;
        while let Some(id) = self.memory(replica).pop_over(capacity) {
            if !self.is_known(&id) {
                self.graves.insert(id, DeadReason::Evicted);
            }
        }
    }
}

impl Memory {
    fn put(&mut self, record: Record) {
        self.take(&record.id);
        self.uses += 1;
        self.order.insert(self.uses, record.id.clone());
        self.records.insert(record.id.clone(), (self.uses, record));
    }

    fn take(&mut self, id: &str) {
        if let Some((used, _)) = self.records.remove(id) {
            self.order.remove(&used);
        }
    }

    fn pop_over(&mut self, capacity: usize) -> Option<String> {
        if self.records.len() <= capacity {
            return None;
        }
        let (_, id) = self.order.pop_first()?;
        self.records.remove(&id);
        Some(id)
    }
}
