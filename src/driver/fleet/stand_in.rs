//! If the server does not answer `GET /v1/health`, one session call in its place, for the whole fleet.
//!
//! The call counts against the quota of the day. So only one process makes it in five minutes. The others read the
//! result from a slot of its own in the store. If the call did not reach the server, nothing is stored.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{
    Fleet, Inner,
    claim::{Claimed, GrantedClaim},
    inquiry::generation,
    new_member,
    record::{split_time, time_to_bytes},
    seal::{Kind, Seal},
};
use crate::{
    clock::Reading,
    driver::core::Core,
    engine::evidence::{METERED, Metered},
    store::Found,
};

/// The lease of the claim. A process that waits for the claim's holder waits no longer than this. Then it makes its
/// own call.
const LEASE: Duration = Duration::from_secs(10);
/// The pause between two looks while another process makes the call.
const AGAIN: Duration = Duration::from_millis(100);
/// The time limit for telling the others.
const TELL: Duration = Duration::from_millis(500);
/// How far the store's clock and the local clock may differ about when a session was created.
const AGREE: Duration = Duration::from_secs(1);

/// A claim to ask for a session on behalf of the whole fleet.
pub(crate) struct StandIn {
    seal: Seal,
    claim: GrantedClaim,
}

/// Which process asks for a session.
pub(crate) enum WhoAsks {
    /// This process asks. If it has a claim, it stores the result for the others.
    This(Option<Box<StandIn>>),
    /// Another process has asked, with this result. The flag says whether its call was made after the sign.
    Another(Metered, bool),
}

impl Fleet {
    /// Finds out whether this process has to ask for a session. `signs` is the present number of signs. All of them
    /// came before the slot was read as `since`. A result of another process counts for `counts_for` after its call. If
    /// the store cannot be reached, each process asks.
    pub(crate) async fn stand_in(
        &self,
        core: &Core,
        signs: (u64, Option<Since>),
        counts_for: Duration,
    ) -> WhoAsks {
        let who = self.within(None, async |inner| {
            let who = inner.who_asks(core, signs, counts_for);
            timeout(LEASE, who).await.ok().flatten()
        });
        who.await.unwrap_or(WhoAsks::This(None))
    }

    /// Tells the others the result of the call.
    pub(crate) async fn stood_in(&self, core: &Core, stand_in: StandIn, answer: &Metered) {
        self.within((), async |inner| {
            let _ = timeout(TELL, inner.tell_stand_in(core, stand_in, answer)).await;
        })
        .await;
    }
}

impl Inner {
    /// Reads the slot, and returns its present state.
    pub(super) async fn stand_in_since(&self, core: &Core) -> Option<Since> {
        let slot = self.common_slot(core, Kind::StandIn)?.slot;
        let found = self.get(core, Some(slot), slot).await.ok()?;
        Some(Since::of(&found))
    }

    /// Finds out which process asks. Returns `None` if this process has no session, or if the store cannot be asked.
    async fn who_asks(
        &self,
        core: &Core,
        (signs, since): (u64, Option<Since>),
        counts_for: Duration,
    ) -> Option<WhoAsks> {
        let seal = self.common_slot(core, Kind::StandIn)?;
        let member = new_member(core);
        let mut before = core.now();
        let mut found = self.get(core, Some(seal.slot), seal.slot).await.ok()?;
        let since = since.unwrap_or_else(|| Since::of(&found));
        loop {
            if let Some(said) = read(&seal, &found, counts_for) {
                let answer = said.here(core, signs, (found.now, before));
                return Some(WhoAsks::Another(
                    answer,
                    since.is_before(&found, said.asked),
                ));
            }
            let after = generation(&found);
            let begun = core.now();
            let (at, whose) = (Some(seal.slot), (seal.slot, member));
            before = begun;
            let claimed = self.claim(core, at, whose, after, (begun, LEASE)).await;
            match claimed.ok()? {
                Claimed::Granted(claim) => {
                    return Some(WhoAsks::This(Some(Box::new(StandIn { seal, claim }))));
                }
                Claimed::Held(_) => sleep(AGAIN).await,
                // An old record from a replica of the store, or one that another program wrote. The store would offer
                // it again and again.
                Claimed::Published(other) if generation(&other) <= after => return None,
                Claimed::Published(other) => found = other,
            }
        }
    }

    async fn tell_stand_in(&self, core: &Core, stand_in: StandIn, answer: &Metered) {
        let StandIn { seal, claim } = stand_in;
        let plain = written(claim.granted.0, answer);
        self.tell(core, &seal, claim, &plain, (METERED, LEASE))
            .await;
    }
}

/// The state of the slot at some time: its generation, and the clock of its node in the store. A result counts as later
/// only if both have advanced. The generation alone says when the result was stored, not when the call was made. The
/// clock alone may have been set back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since {
    now: Duration,
    generation: u64,
}

impl Since {
    fn of(found: &Found) -> Self {
        Self {
            now: found.now,
            generation: generation(found),
        }
    }

    /// Returns whether the result in `found` comes from a later call than this state. The call was made at `asked`, by
    /// the node's clock.
    fn is_before(&self, found: &Found, asked: Duration) -> bool {
        generation(found) > self.generation && asked >= self.now
    }
}

/// Returns the result in a record. `None` if the call was too long ago.
fn read(seal: &Seal, found: &Found, counts_for: Duration) -> Option<Said> {
    let record = found.record.as_ref()?;
    let plain = seal.open(record.generation, &record.sealed)?;
    let said = parse(&plain)?;
    // The store's clock may have been set back since.
    let ago = found.now.checked_sub(said.asked)?;
    (ago < counts_for).then_some(said)
}

/// A result as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    /// When the call was made, by the store's clock.
    asked: Duration,
    /// How old the session was then.
    age: Duration,
    /// When the session was created, by the server's clock.
    made_at: Duration,
    knows: bool,
}

impl Said {
    /// Converts the result to the clocks of this process. The slot was read at `found_at` by the store's clock, and
    /// after `before` by the clock here.
    fn here(&self, core: &Core, signs: u64, (found_at, before): (Duration, Reading)) -> Metered {
        let (now, ago) = (core.now(), found_at.saturating_sub(self.asked));
        // It is not known how long the store's answer was on its way, so take the cautious time. If the server has the
        // session, the earlier time proves less. If not, the later time gives up more sessions.
        let known = if self.knows { before } else { now };
        let asked = Reading {
            monotonic: known.monotonic.saturating_sub(ago),
            wall: known.wall.saturating_sub(ago),
        };
        let is_older = |made: Duration| made < self.made_at;
        let sessions = core.sessions();
        Metered {
            knows: self.knows,
            made_at: self.made_at,
            born: asked.monotonic.saturating_sub(self.age + AGREE),
            is_oldest: !sessions.iter().any(|it| is_older(it.made(now).at)),
            signs,
            asked,
        }
    }
}

fn written(asked: Duration, answer: &Metered) -> Vec<u8> {
    let age = answer.asked.monotonic.saturating_sub(answer.born);
    let times = [asked, age, answer.made_at];
    let mut plain: Vec<u8> = times.into_iter().flat_map(time_to_bytes).collect();
    plain.push(u8::from(answer.knows));
    plain
}

fn parse(plain: &[u8]) -> Option<Said> {
    let (asked, rest) = split_time(plain)?;
    let (age, rest) = split_time(rest)?;
    let (made_at, rest) = split_time(rest)?;
    Some(Said {
        asked,
        age,
        made_at,
        knows: *rest.first()? != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Reading {
        let time = Duration::from_millis(millis);
        Reading {
            monotonic: time,
            wall: time,
        }
    }

    #[test]
    fn what_was_written_is_read_and_what_is_cut_is_not() {
        for knows in [true, false] {
            let answer = Metered {
                knows,
                made_at: Duration::from_millis(1_795_456_000_123),
                born: at(5_000).monotonic,
                is_oldest: true,
                signs: 7,
                asked: at(65_250),
            };
            let asked = Duration::from_millis(1_795_456_801_789);
            let plain = written(asked, &answer);
            let said = parse(&plain).unwrap();
            assert_eq!((said.asked, said.knows), (asked, knows));
            assert_eq!(said.age, Duration::from_millis(60_250));
            assert_eq!(said.made_at, answer.made_at);
            for cut in 0..plain.len() {
                assert_eq!(parse(&plain[..cut]), None, "{cut}");
            }
        }
    }
}
