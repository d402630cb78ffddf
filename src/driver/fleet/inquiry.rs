//! One question for the whole fleet: whoever asks the server for its health tells the others what it said.
//!
//! The answer stands in a slot of its own for each API key. Whoever has the right to write it down asks; the others wait for
//! that. An answer counts for who saw a sign only if it was asked for after that: the store's clock says so.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};

use super::{
    Fleet, Inner,
    claim::Right,
    new_member,
    seal::{Kind, Seal},
};
use crate::{
    api::{Health, SessionDefaults, Word},
    driver::core::Core,
    secret::ApiKey,
    store::{Claim, Found, Member, Record},
};

/// The right to ask. A question takes a second at most.
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
    Ask(Box<Right>),
    /// Another has asked.
    Told(Word),
}

/// What came of one claim.
enum Claimed {
    Granted(Box<Right>),
    /// There is an answer, which may be older than the sign.
    Answered(Found),
    ByAnother,
}

impl Fleet {
    /// Asks by `ask`, unless another process has asked since the sign. Without the store each asks for itself.
    pub(crate) async fn ask_once(&self, core: &Core, ask: impl Future<Output = Word>) -> Word {
        let Some((inner, seal)) = self.common_slot(core, Kind::Health) else {
            return ask.await;
        };
        match timeout(PATIENCE, inner.turn(core, &seal)).await {
            Ok(Some(Turn::Told(word))) => word,
            Ok(Some(Turn::Ask(right))) => {
                let word = ask.await;
                // Whoever waits here waits for the answer, and not for the store.
                let _ = timeout(TELL, inner.tell_answer(core, &seal, *right, word)).await;
                word
            }
            Ok(None) | Err(_) => ask.await,
        }
    }
}

impl Fleet {
    /// The slot of what is asked for once for the whole fleet.
    pub(super) fn common_slot(&self, core: &Core, kind: Kind) -> Option<(&Inner, Seal)> {
        let inner = self.inner()?;
        let (key, defaults) = (first_key(core)?, SessionDefaults::new());
        Some((inner, inner.seal(core, kind, &key, &defaults)))
    }
}

impl Inner {
    /// `None` where the store cannot be asked.
    async fn turn(&self, core: &Core, seal: &Seal) -> Option<Turn> {
        let member = new_member(core);
        let found = self
            .read(core, Some(seal.slot), self.store().get(seal.slot))
            .await
            .ok()?;
        // The sign came before this.
        let (since, mut after) = (found.now, generation(&found));
        loop {
            match self.claim_question(core, seal, member, after).await? {
                Claimed::Granted(right) => return Some(Turn::Ask(right)),
                Claimed::ByAnother => sleep(AGAIN).await,
                Claimed::Answered(found) => {
                    if let Some(word) = read(seal, &found, since) {
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

    /// `None` where the store cannot be asked.
    async fn claim_question(
        &self,
        core: &Core,
        seal: &Seal,
        member: Member,
        after: u64,
    ) -> Option<Claimed> {
        let since = core.now();
        let claim = self.store().claim(seal.slot, member, after, LEASE);
        Some(match self.step_at(core, seal.slot, claim).await.ok()? {
            Claim::Granted { generation, now } => {
                let (whose, granted) = ((seal.slot, member), (generation, now));
                let right = Right::new(self, core, whose, granted, (since, LEASE));
                Claimed::Granted(Box::new(right))
            }
            Claim::Held { .. } => Claimed::ByAnother,
            Claim::Published(found) => Claimed::Answered(found),
        })
    }

    /// What this process did not reach may be there for others: they ask for themselves.
    async fn tell_answer(&self, core: &Core, seal: &Seal, right: Right, word: Word) {
        let asked = right.granted.0;
        let Some(sealed) =
            written(word, asked).and_then(|plain| seal.seal(right.generation, &plain))
        else {
            return; // its drop gives the right back
        };
        let record = Record {
            generation: right.generation,
            sealed: Bytes::from(sealed),
            left: KEPT_FOR,
        };
        let member = right.spend();
        let publish = self.store().publish(seal.slot, member, record, LEASE);
        // Whoever is not told asks for itself.
        let _ = self.step_at(core, seal.slot, publish).await;
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
    let millis = |time: Duration| {
        u64::try_from(time.as_millis())
            .unwrap_or(u64::MAX)
            .to_be_bytes()
    };
    let mut plain = millis(asked).to_vec();
    if let Some(health) = health {
        plain.extend(millis(health.boot));
        plain.extend(millis(health.timestamp));
        plain.push(u8::from(health.keeps_sessions));
    }
    Some(plain)
}

fn parse(plain: &[u8]) -> Option<(Duration, Word)> {
    let (asked, rest) = plain.split_first_chunk()?;
    let millis = |bytes: &[u8; 8]| Duration::from_millis(u64::from_be_bytes(*bytes));
    let word = match rest {
        [] => Word::Silent,
        rest => {
            let (boot, rest) = rest.split_first_chunk()?;
            let (timestamp, rest) = rest.split_first_chunk()?;
            Word::Says(Health {
                boot: millis(boot),
                timestamp: millis(timestamp),
                keeps_sessions: *rest.first()? != 0,
            })
        }
    };
    Some((millis(asked), word))
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
