//! The steps of the store, each of which is one script on the server.

use std::time::Duration;

use super::{
    RedisStore, answer,
    answer::{millis, positive_millis},
    script,
};
use crate::store::{
    Changes, Claim, Found, Kept, Left, Member, Record, SessionStore, Slot, StoreFuture,
};

impl SessionStore for RedisStore {
    fn get(&self, slot: Slot) -> StoreFuture<'_, Found> {
        let call = script::GET.on([self.0.keys.record(slot)]);
        self.step(call, answer::found)
    }

    fn claim(
        &self,
        slot: Slot,
        member: Member,
        after: u64,
        lease: Duration,
    ) -> StoreFuture<'_, Claim> {
        let keys = &self.0.keys;
        let call = script::CLAIM
            .on([
                keys.record(slot),
                keys.claim(slot),
                keys.highest(slot),
                keys.revoked(slot),
            ])
            .with(member.to_string())
            .with(after)
            .with(positive_millis(lease));
        self.step(call, answer::claim)
    }

    fn publish(
        &self,
        slot: Slot,
        member: Member,
        record: Record,
        lease: Duration,
    ) -> StoreFuture<'_, bool> {
        let keys = &self.0.keys;
        let call = script::PUBLISH
            .on([
                keys.record(slot),
                keys.claim(slot),
                keys.highest(slot),
                keys.users(slot, record.generation),
            ])
            .with(member.to_string())
            .with(record.generation)
            .with(millis(record.left))
            .with(positive_millis(lease))
            .with(&record.sealed[..])
            .with(keys.channel())
            .with(slot.to_string());
        self.step(call, |answer| answer::yes_or_no(&answer))
    }

    fn release(
        &self,
        slot: Slot,
        member: Member,
        generation: u64,
        pause: Duration,
    ) -> StoreFuture<'_, ()> {
        let keys = &self.0.keys;
        let call = script::RELEASE
            .on([keys.claim(slot)])
            .with(member.to_string())
            .with(generation)
            .with(millis(pause))
            .with(keys.channel())
            .with(slot.to_string());
        self.step(call, |answer| answer::done(&answer))
    }

    fn keep(
        &self,
        slot: Slot,
        member: Member,
        record: Record,
        lease: Duration,
    ) -> StoreFuture<'_, Kept> {
        let keys = &self.0.keys;
        let call = script::KEEP
            .on([
                keys.record(slot),
                keys.highest(slot),
                keys.revoked(slot),
                keys.users(slot, record.generation),
            ])
            .with(member.to_string())
            .with(record.generation)
            .with(millis(record.left))
            .with(positive_millis(lease))
            .with(&record.sealed[..]);
        self.step(call, answer::kept)
    }

    fn leave(&self, slot: Slot, member: Member, generation: u64) -> StoreFuture<'_, Left> {
        let keys = &self.0.keys;
        let call = script::LEAVE
            .on([
                keys.record(slot),
                keys.highest(slot),
                keys.revoked(slot),
                keys.users(slot, generation),
            ])
            .with(member.to_string())
            .with(generation)
            .with(keys.channel())
            .with(slot.to_string());
        self.step(call, |answer| answer::left(&answer))
    }

    fn revoke(&self, slot: Slot, generation: u64) -> StoreFuture<'_, ()> {
        let keys = &self.0.keys;
        let call = script::REVOKE
            .on([
                keys.record(slot),
                keys.claim(slot),
                keys.highest(slot),
                keys.revoked(slot),
            ])
            .with(generation)
            .with(keys.channel())
            .with(slot.to_string());
        self.step(call, |answer| answer::done(&answer))
    }

    /// Starts a background task that subscribes to Redis. Without a tokio runtime, the next call to the store starts
    /// the task. The task ends when the last listener is dropped.
    fn changes(&self) -> Changes {
        let changes = self.0.announcer.subscribe();
        self.listen();
        changes
    }
}
