//! The form of a group's changes in the store, and writing them.

use std::time::Duration;

use bytes::Bytes;
use secrecy::zeroize::Zeroizing;
use tokio::time::sleep;

use super::{Following, LwwDefaults};
use crate::{
    driver::{
        core::Core,
        fleet::{Inner, STEP, claim::Claimed, new_member, refuse, seal::Seal},
    },
    error::{Error, ErrorKind},
    secret::to_json,
    store::{Found, Record, Slot},
};

/// How long the store keeps the group's changes after a process last looked at them.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// The lease of the claim. Writing takes one step of the store.
const LEASE: Duration = Duration::from_secs(10);
/// The pause between tries while another process holds the claim.
const AGAIN: Duration = Duration::from_millis(50);
/// The most tries. A faulty store could otherwise keep this loop going for ever, without the time limit passing.
const TRIES: usize = 100;
/// The first byte of a record before it is encrypted. A new format gets another number.
const FORM: u8 = 2;

/// The content of a group's slot.
pub(super) struct InSlot {
    pub(super) generation: u64,
    pub(super) content: Content,
    pub(super) left: Duration,
}

pub(super) enum Content {
    Nothing,
    State(LwwDefaults),
    /// A record of a later version of this crate.
    AnotherForm,
    /// A record that no process of the fleet has written.
    Unreadable,
}

impl InSlot {
    pub(super) fn into_state(self) -> Option<LwwDefaults> {
        match self.content {
            Content::State(state) => Some(state),
            Content::Nothing | Content::AnotherForm | Content::Unreadable => None,
        }
    }

    /// Returns whether less than half of the record's time in the store is left.
    pub(super) fn is_half_over(&self) -> bool {
        !matches!(self.content, Content::Nothing) && self.left < KEPT_FOR / 2
    }
}

impl Inner {
    /// Reads a group's slot. This also gives the store's time to changes that this process made without knowing that
    /// time.
    pub(super) async fn read_defaults(&self, core: &Core, seal: &Seal) -> Result<InSlot, Error> {
        let found = self.get(core, None, seal.slot).await?;
        Ok(self.open_defaults(core, seal, found))
    }

    fn open_defaults(&self, core: &Core, seal: &Seal, found: Found) -> InSlot {
        self.stamp_pending(core, found.now);
        let Some(record) = found.record else {
            return InSlot {
                generation: 0,
                content: Content::Nothing,
                left: Duration::ZERO,
            };
        };
        let content = match seal.open(record.generation, &record.sealed) {
            Some(plain) => match plain.split_first() {
                Some((&FORM, json)) => LwwDefaults::parse(json).map(Content::State),
                _ => Some(Content::AnotherForm),
            },
            None => None,
        };
        let content = content.unwrap_or(Content::Unreadable);
        if matches!(content, Content::AnotherForm | Content::Unreadable)
            && self.is_first_refusal(seal.slot, record.generation)
        {
            refuse(core, seal.slot);
        }
        InSlot {
            generation: record.generation,
            content,
            left: record.left,
        }
    }

    /// Gives pending changes the store's time. `store_now` is the store's time at this moment.
    fn stamp_pending(&self, core: &Core, store_now: Duration) {
        if let Some(following) = self.following.get() {
            following.book().stamp(store_now, core.now());
        }
    }

    /// Returns whether this record is refused for the first time. One event for each record is enough.
    pub(super) fn is_first_refusal(&self, slot: Slot, generation: u64) -> bool {
        let is_first = self.seen.of(slot).generation != generation;
        self.seen.note(slot, generation, false);
        is_first
    }

    /// Merges the changes of this process into the slot, and writes the result. Returns the content of the slot after
    /// that.
    ///
    /// No change of another process is lost: the store grants the claim only to a process that has read the newest
    /// record, and only the holder of the claim can write.
    ///
    /// # Errors
    ///
    /// Returns [`ErrorKind::Store`] if the store cannot be reached, or if others write all the time. Changes that are
    /// not written now are written later.
    pub(super) async fn publish_defaults(
        &self,
        core: &Core,
        following: &Following,
        seal: &Seal,
        newest: InSlot,
    ) -> Result<LwwDefaults, Error> {
        let (member, begun) = (new_member(core), core.now());
        // `state` is what the store has.
        let (mut state, mut newest) = (LwwDefaults::default(), Some(newest));
        let (mut after, mut is_half_over) = (0, false);
        for _ in 0..TRIES {
            if core.now().since(begun) >= STEP {
                break;
            }
            if let Some(slot) = newest.take() {
                (after, is_half_over) = (slot.generation, slot.is_half_over());
                match slot.content {
                    Content::State(written) => state.merge(&written),
                    Content::Nothing | Content::Unreadable => {}
                    // Do not overwrite the record: it may hold what this version cannot read. Changes of this process
                    // wait until the record is gone.
                    Content::AnotherForm => return Ok(LwwDefaults::default()),
                }
            }
            let is_told = state.covers(following.book().known());
            if is_told && !is_half_over {
                following.book().was_told(&state);
                return Ok(state);
            }
            self.release_claims(core, seal.slot).await?;
            let since = core.now();
            let whose = (seal.slot, member);
            let claim = match self.claim(core, None, whose, after, (since, LEASE)).await? {
                Claimed::Granted(claim) => {
                    self.stamp_pending(core, claim.granted.0);
                    claim
                }
                Claimed::Published(found) => {
                    newest = Some(self.open_defaults(core, seal, found));
                    continue;
                }
                Claimed::Held(left) => {
                    sleep(left.clamp(Duration::from_millis(1), AGAIN)).await;
                    continue;
                }
            };
            let mut merged = state.clone();
            merged.merge(following.book().known());
            let Some(sealed) = sealed(seal, claim.generation, &merged) else {
                break; // there are no random numbers, so nothing can be encrypted
            };
            let record = Record {
                generation: claim.generation,
                sealed,
                left: KEPT_FOR,
            };
            let published = self
                .step(core, None, |store| {
                    store.publish(seal.slot, member, record, LEASE)
                })
                .await?;
            if published {
                claim.disarm();
                following.book().was_told(&merged);
                return Ok(merged);
            }
        }
        let text = "another process is changing the defaults";
        Err(Error::new(ErrorKind::Store, text))
    }
}

fn sealed(seal: &Seal, generation: u64, state: &LwwDefaults) -> Option<Bytes> {
    let json = to_json(state);
    let mut plain = Zeroizing::new(Vec::with_capacity(1 + json.len()));
    plain.push(FORM);
    plain.extend_from_slice(&json);
    seal.seal(generation, &plain).map(Bytes::from)
}

#[cfg(all(test, feature = "store", feature = "testing"))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        Chain, Event, SessionDefaults, SessionManager,
        api::Transport,
        driver::fleet::{derive, seal::Kind},
        scope::{BaseUrl, PlainHttp},
        store::{Claim, Member, MemoryStore, SessionStore},
        testing::{FakeSipher, TestClock, Tier},
    };

    /// Puts bytes into the group's slot, and lets a process change its defaults.
    #[allow(clippy::unwrap_used)] // a test
    async fn change_beside(plain: &[u8], is_sealed: bool) -> (bool, usize) {
        let (sipher, clock) = (FakeSipher::new(), TestClock::new());
        let (store, key) = (MemoryStore::new(clock.clone()), sipher.api_key(Tier::Pro));
        let base = BaseUrl::parse(FakeSipher::base_url(), PlainHttp::OnLoopback).unwrap();
        let home = Arc::new(SessionDefaults::new().chain(Chain::Near));
        let seal = Seal::new(derive, Kind::Defaults, &key.as_str().into(), &base, &home);
        let claim = store.claim(seal.slot, Member(1), 0, LEASE).await.unwrap();
        let Claim::Granted { generation, .. } = claim else {
            panic!("{claim:?}")
        };
        let sealed = if is_sealed {
            seal.seal(generation, plain).unwrap()
        } else {
            plain.to_vec()
        };
        let record = Record {
            generation,
            sealed: sealed.into(),
            left: KEPT_FOR,
        };
        let publish = store.publish(seal.slot, Member(1), record.clone(), LEASE);
        assert!(publish.await.unwrap());

        let manager = SessionManager::builder()
            .api_key(key.as_str())
            .defaults((*home).clone())
            .transport(Transport::new(sipher.clone()))
            .base_url(FakeSipher::base_url())
            .clock(clock)
            .store(store.clone())
            .build()
            .unwrap();
        let mut events = manager.events();
        let patch = SessionDefaults::new().chain(Chain::Sui);
        manager.update_defaults(patch.clone()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert_eq!(manager.defaults(), patch, "here it is changed in any case");
        let found = store.get(seal.slot).await.unwrap().record.unwrap();
        let events = std::iter::from_fn(|| events.try_recv());
        let refusals = events.filter(|event| matches!(event, Event::RecordRefused { .. }));
        (found.sealed == record.sealed, refusals.count())
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_of_another_form_is_refused_once_and_not_overwritten() {
        assert_eq!(change_beside(b"\x03of tomorrow", true).await, (true, 1));
        assert_eq!(change_beside(b"", true).await, (true, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_that_nobody_can_read_is_refused_once_and_gives_way() {
        assert_eq!(change_beside(b"junk", false).await, (false, 1));
        assert_eq!(change_beside(b"\x02junk", true).await, (false, 1));
    }
}
