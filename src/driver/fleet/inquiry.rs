//! One `GET /v1/health` for the whole fleet. The process that makes the call tells the others the answer, through the
//! store.
//!
//! The answer is stored in a slot that is derived from the first API key that has a session. The process that holds the
//! claim asks, and the others wait for it. After a sign, a process uses an answer only if the call was made after that
//! sign, by the store's clock.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::{
    Fleet, Inner,
    claim::{Claimed, GrantedClaim},
    new_member,
    record::{split_time, time_to_bytes},
    seal::{Kind, Seal},
    stand_in::Since,
};
use crate::{
    api::{Health, SessionDefaults, Word},
    driver::{core::Core, question::Heard},
    secret::ApiKey,
    store::{Found, Record},
};

/// The lease of the claim. A question takes a second at most.
const LEASE: Duration = Duration::from_secs(3);
/// How long the store keeps an answer. It may be long, because a process never uses an answer that is older than its
/// own sign.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// The pause between two looks while another process asks.
const AGAIN: Duration = Duration::from_millis(100);
/// How long to wait for the store. After that each process asks the server itself, because the question is free.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// The time limit for telling the other processes the answer.
const TELL: Duration = Duration::from_millis(500);

/// Which process asks the server.
enum Turn {
    /// This process has to ask the server.
    Ask(Seal, Box<GrantedClaim>),
    /// Another process has asked, with this answer.
    Told(Word),
}

impl Fleet {
    /// Calls health with `ask`, unless another process has called it since the sign. If the store cannot be reached,
    /// each process makes the call.
    pub(crate) async fn ask_once(&self, core: &Core, ask: impl Future<Output = Word>) -> Heard {
        let turn = self.within(None, async |inner| {
            timeout(PATIENCE, inner.turn(core)).await.ok().flatten()
        });
        let (turn, since) = turn.await.unzip();
        let since = since.flatten();
        let word = match turn {
            Some(Turn::Told(word)) => word,
            Some(Turn::Ask(seal, claim)) => {
                let word = ask.await;
                // Limit the time: the callers wait for the server's answer, and need not wait for the store.
                self.within((), async |inner| {
                    let _ = timeout(TELL, inner.tell_answer(core, &seal, *claim, word)).await;
                })
                .await;
                word
            }
            None => ask.await,
        };
        Heard { word, since }
    }
}

impl Inner {
    /// Returns the slot of a question that is asked once for the whole fleet.
    pub(super) fn common_slot(&self, core: &Core, kind: Kind) -> Option<Seal> {
        let (key, defaults) = (first_key(core)?, SessionDefaults::new());
        Some(self.seal(core, kind, &key, &defaults))
    }

    /// Finds out which process asks. Also returns the state of the slot for session calls in place of this question:
    /// all signs came before that state. Returns `None` if this process has no session, or if the store cannot be
    /// asked.
    async fn turn(&self, core: &Core) -> Option<(Turn, Option<Since>)> {
        let seal = self.common_slot(core, Kind::Health)?;
        let member = new_member(core);
        let (found, stand_in) = tokio::join!(
            self.get(core, Some(seal.slot), seal.slot),
            self.stand_in_since(core)
        );
        let found = found.ok()?;
        // The sign that caused this question came before this time.
        let (since, mut after) = (found.now, generation(&found));
        let turn = loop {
            let (at, whose) = (Some(seal.slot), (seal.slot, member));
            let lasts = (core.now(), LEASE);
            match self.claim(core, at, whose, after, lasts).await.ok()? {
                Claimed::Granted(claim) => break Turn::Ask(seal, Box::new(claim)),
                Claimed::Held(_) => sleep(AGAIN).await,
                // The published answer may be older than the sign.
                Claimed::Published(found) => {
                    if let Some(word) = read(&seal, &found, since) {
                        break Turn::Told(word);
                    }
                    // An old record from a replica of the store, or one that another program wrote. The store would
                    // offer it again and again.
                    if generation(&found) <= after {
                        return None;
                    }
                    after = generation(&found);
                }
            }
        };
        Some((turn, stand_in))
    }

    /// Stores the answer for the others. If this process could not reach the server, it stores nothing: the others may
    /// reach the server, and ask for themselves.
    async fn tell_answer(&self, core: &Core, seal: &Seal, claim: GrantedClaim, word: Word) {
        if let Some(plain) = written(word, claim.granted.0) {
            self.tell(core, seal, claim, &plain, (KEPT_FOR, LEASE))
                .await;
        }
    }

    /// Publishes an answer for the whole fleet, which the store keeps for the time `left`. Failures are ignored: a
    /// process that finds no answer asks for itself.
    pub(super) async fn tell(
        &self,
        core: &Core,
        seal: &Seal,
        claim: GrantedClaim,
        plain: &[u8],
        (left, lease): (Duration, Duration),
    ) {
        let generation = claim.generation;
        let Some(sealed) = seal.seal(generation, plain).map(Bytes::from) else {
            return; // dropping the claim releases it
        };
        let record = Record {
            generation,
            sealed,
            left,
        };
        let (slot, member) = (seal.slot, claim.disarm());
        let _ = self
            .step(core, Some(slot), |store| {
                store.publish(slot, member, record, lease)
            })
            .await;
    }
}

/// Returns the first of the API keys that have sessions here. Processes with the same keys get the same one.
fn first_key(core: &Core) -> Option<ApiKey> {
    let sessions = core.sessions();
    let keys = sessions.iter().map(|session| &session.partition.key);
    let first = keys.min_by(|one, other| one.expose().cmp(other.expose()))?;
    Some(first.clone())
}

pub(super) fn generation(found: &Found) -> u64 {
    found.record.as_ref().map_or(0, |record| record.generation)
}

/// Returns the answer in a record, if health was called at `since` or later.
fn read(seal: &Seal, found: &Found, since: Duration) -> Option<Word> {
    let record = found.record.as_ref()?;
    let plain = seal.open(record.generation, &record.sealed)?;
    let (asked, word) = parse(&plain)?;
    (asked >= since).then_some(word)
}

/// Returns the bytes of a record: the time at which health was called, on the store's clock, and the answer. Returns
/// `None` if the call did not reach the server.
fn written(word: Word, asked: Duration) -> Option<Vec<u8>> {
    let health = match word {
        Word::Says(health) => Some(health),
        Word::Silent => None,
        Word::Away => return None,
    };
    let mut plain = time_to_bytes(asked).to_vec();
    if let Some(health) = health {
        plain.extend(time_to_bytes(health.boot));
        plain.extend(time_to_bytes(health.timestamp));
        plain.push(u8::from(health.keeps_sessions));
    }
    Some(plain)
}

fn parse(plain: &[u8]) -> Option<(Duration, Word)> {
    let (asked, rest) = split_time(plain)?;
    let word = match rest {
        [] => Word::Silent,
        rest => {
            let (boot, rest) = split_time(rest)?;
            let (timestamp, rest) = split_time(rest)?;
            Word::Says(Health {
                boot,
                timestamp,
                keeps_sessions: *rest.first()? != 0,
            })
        }
    };
    Some((asked, word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_is_cut_is_not() {
        let health = Health {
            boot: Duration::from_millis(1_795_456_000_123),
            timestamp: Duration::from_millis(1_795_456_800_456),
            keeps_sessions: true,
        };
        let asked = Duration::from_millis(1_795_456_801_789);
        for word in [Word::Says(health), Word::Silent] {
            let plain = written(word, asked).unwrap();
            assert_eq!(parse(&plain), Some((asked, word)));
            for cut in (0..plain.len()).filter(|cut| *cut != 8) {
                assert_eq!(parse(&plain[..cut]), None, "{cut}");
            }
        }
        assert_eq!(written(Word::Away, asked), None);
    }
}
