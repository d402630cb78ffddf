//! One session call in place of the free question, for the whole fleet.
//!
//! It counts against the day's quota, so that one process makes it in five minutes. What came of it stands in a slot of its own, as the
//! answer to the free question does. A call that did not reach the server is nobody else's.

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

/// Of the claim. Whoever waits for it waits no longer than that, and then makes its own call.
const LEASE: Duration = Duration::from_secs(10);
/// How often it is looked for while another makes it.
const AGAIN: Duration = Duration::from_millis(100);
/// For telling the others.
const TELL: Duration = Duration::from_millis(500);
/// The store's clock and the one here agree so far about when a session was made.
const AGREE: Duration = Duration::from_secs(1);

/// A claim on asking for a session on behalf of all.
pub(crate) struct StandIn {
    seal: Seal,
    claim: GrantedClaim,
}

/// Who asks for a session.
pub(crate) enum WhoAsks {
    /// This process, and tells the others.
    This(Option<Box<StandIn>>),
    /// Another has asked, with this result: after the sign, if the last word says so.
    Another(Metered, bool),
}

impl Fleet {
    /// Finds out whether this process is to ask for a session after so many signs. What another has found out `counts_for` so long.
    /// Without the store each asks.
    pub(crate) async fn stand_in(&self, core: &Core, signs: u64, counts_for: Duration) -> WhoAsks {
        let who = self.within(None, async |inner| {
            let who = inner.who_asks(core, (signs, counts_for));
            timeout(LEASE, who).await.ok().flatten()
        });
        who.await.unwrap_or(WhoAsks::This(None))
    }

    /// Tells the others what came of it.
    pub(crate) async fn stood_in(&self, core: &Core, stand_in: StandIn, answer: &Metered) {
        self.within((), async |inner| {
            let _ = timeout(TELL, inner.tell_stand_in(core, stand_in, answer)).await;
        })
        .await;
    }
}

impl Inner {
    /// `None` where nobody has a session, or the store cannot be asked.
    async fn who_asks(&self, core: &Core, (signs, counts_for): (u64, Duration)) -> Option<WhoAsks> {
        let seal = self.common_slot(core, Kind::StandIn)?;
        let member = new_member(core);
        let mut found = self.get(core, Some(seal.slot), seal.slot).await.ok()?;
        // The sign came before this.
        let since = found.now;
        loop {
            if let Some((answer, asked)) = read(core, &seal, &found, (signs, counts_for)) {
                return Some(WhoAsks::Another(answer, asked >= since));
            }
            let after = generation(&found);
            let begun = core.now();
            let (at, whose) = (Some(seal.slot), (seal.slot, member));
            let claimed = self.claim(core, at, whose, after, (begun, LEASE)).await;
            match claimed.ok()? {
                Claimed::Granted(claim) => {
                    return Some(WhoAsks::This(Some(Box::new(StandIn { seal, claim }))));
                }
                Claimed::Held(_) => sleep(AGAIN).await,
                // A replica, or somebody else's record, that would be offered again and again.
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

/// What a record says, and when it was asked for by the store's clock, unless that is too long ago.
fn read(
    core: &Core,
    seal: &Seal,
    found: &Found,
    (signs, counts_for): (u64, Duration),
) -> Option<(Metered, Duration)> {
    let record = found.record.as_ref()?;
    let plain = seal.open(record.generation, &record.sealed)?;
    let said = parse(&plain)?;
    // The store's clock may have been set back since.
    let ago = found.now.checked_sub(said.asked)?;
    (ago < counts_for).then(|| (said.here(core, signs, ago), said.asked))
}

/// What is written of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    /// When it was asked by the store's clock.
    asked: Duration,
    /// How old the session was then.
    age: Duration,
    /// When it was made by the server's clock.
    made_at: Duration,
    knows: bool,
}

impl Said {
    /// By the clocks of this process.
    fn here(&self, core: &Core, signs: u64, ago: Duration) -> Metered {
        let now = core.now();
        let asked = Reading {
            monotonic: now.monotonic.saturating_sub(ago),
            wall: now.wall.saturating_sub(ago),
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
