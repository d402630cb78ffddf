//! One question for the whole fleet: whoever asks the server for its health tells the others what it said.
//!
//! The answer stands in a slot of its own for each API key. Whoever has the claim asks; the others wait for
//! that. An answer counts for who saw a sign only if it was asked for after that: the store's clock says so.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::{
    Fleet, Inner,
    claim::{Claimed, GrantedClaim},
    new_member,
    record::{split_time, time_to_bytes},
    seal::{Kind, Seal},
};
use crate::{
    api::{Health, SessionDefaults, Word},
    driver::core::Core,
    secret::ApiKey,
    store::{Found, Record},
};

/// Of the claim. A question takes a second at most.
const LEASE: Duration = Duration::from_secs(3);
/// How long an answer stands there. Nobody may use one that is older than its own sign.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// How often it is looked for while another asks.
const AGAIN: Duration = Duration::from_millis(100);
/// A store that takes longer is not waited for: the question is free.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// The same for telling the others.
const TELL: Duration = Duration::from_millis(500);

/// What the store says of the question.
enum Turn {
    /// This process is to ask.
    Ask(Seal, Box<GrantedClaim>),
    /// Another has asked.
    Told(Word),
}

impl Fleet {
    /// Asks by `ask`, unless another process has asked since the sign. Without the store each asks for itself.
    pub(crate) async fn ask_once(&self, core: &Core, ask: impl Future<Output = Word>) -> Word {
        let turn = self.within(None, async |inner| {
            timeout(PATIENCE, inner.turn(core)).await.ok().flatten()
        });
        match turn.await {
            Some(Turn::Told(word)) => word,
            Some(Turn::Ask(seal, claim)) => {
                let word = ask.await;
                // Whoever waits here waits for the answer, and not for the store.
                self.within((), async |inner| {
                    let _ = timeout(TELL, inner.tell_answer(core, &seal, *claim, word)).await;
                })
                .await;
                word
            }
            None => ask.await,
        }
    }
}

impl Inner {
    /// The slot of what is asked for once for the whole fleet.
    pub(super) fn common_slot(&self, core: &Core, kind: Kind) -> Option<Seal> {
        let (key, defaults) = (first_key(core)?, SessionDefaults::new());
        Some(self.seal(core, kind, &key, &defaults))
    }

    /// `None` where nobody has a session, or the store cannot be asked.
    async fn turn(&self, core: &Core) -> Option<Turn> {
        let seal = self.common_slot(core, Kind::Health)?;
        let member = new_member(core);
        let found = self.get(core, Some(seal.slot), seal.slot).await.ok()?;
        // The sign came before this.
        let (since, mut after) = (found.now, generation(&found));
        loop {
            let (at, whose) = (Some(seal.slot), (seal.slot, member));
            let lasts = (core.now(), LEASE);
            match self.claim(core, at, whose, after, lasts).await.ok()? {
                Claimed::Granted(claim) => return Some(Turn::Ask(seal, Box::new(claim))),
                Claimed::Held(_) => sleep(AGAIN).await,
                // The answer may be older than the sign.
                Claimed::Published(found) => {
                    if let Some(word) = read(&seal, &found, since) {
                        return Some(Turn::Told(word));
                    }
                    // A replica, or somebody else's record, that would be offered again and again.
                    if generation(&found) <= after {
                        return None;
                    }
                    after = generation(&found);
                }
            }
        }
    }

    /// What this process did not reach may be there for others: they ask for themselves.
    async fn tell_answer(&self, core: &Core, seal: &Seal, claim: GrantedClaim, word: Word) {
        if let Some(plain) = written(word, claim.granted.0) {
            self.tell(core, seal, claim, &plain, (KEPT_FOR, LEASE))
                .await;
        }
    }

    /// Publishes what was found out for all, to be kept for so long. Whoever is not told finds it out for itself.
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
            return; // its drop releases the claim
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

/// The first of the API keys that have sessions here, so that processes with the same keys agree.
fn first_key(core: &Core) -> Option<ApiKey> {
    let sessions = core.sessions();
    let keys = sessions.iter().map(|session| &session.partition.key);
    let first = keys.min_by(|one, other| one.expose().cmp(other.expose()))?;
    Some(first.clone())
}

pub(super) fn generation(found: &Found) -> u64 {
    found.record.as_ref().map_or(0, |record| record.generation)
}

/// What a record says, if it was asked for after that.
fn read(seal: &Seal, found: &Found, since: Duration) -> Option<Word> {
    let record = found.record.as_ref()?;
    let plain = seal.open(record.generation, &record.sealed)?;
    let (asked, word) = parse(&plain)?;
    (asked >= since).then_some(word)
}

/// When it was asked by the store's clock, and what was answered. `None` if nothing was.
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
