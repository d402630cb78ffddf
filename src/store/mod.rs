//! A store that the processes of a fleet share: one session for each API key and set of defaults.
//!
//! Without a store every process has sessions of its own, and a thousand processes use up one key's daily quota. With a
//! store, the first process creates the session and the others adopt it. Before the session expires, one of them
//! creates the successor. The last process that leaves a session deletes it.
//!
#![cfg_attr(all(feature = "store", feature = "testing"), doc = "```")]
#![cfg_attr(not(all(feature = "store", feature = "testing")), doc = "```ignore")]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sipher_session::Error> {
//! use std::time::Duration;
//! use sipher_session::{SessionManager, api::Transport, store::MemoryStore, testing::{FakeSipher, TestClock, Tier}};
//!
//! let (sipher, clock) = (FakeSipher::new(), TestClock::new());
//! let (store, key) = (MemoryStore::new(clock.clone()), sipher.api_key(Tier::Pro));
//! let process = || {
//!     SessionManager::builder()
//!         .api_key(key.as_str())
//!         .transport(Transport::new(sipher.clone()))
//!         .clock(clock.clone())
//!         .store(store.clone())
//!         .build()
//! };
//! let (one, other) = (process()?, process()?);
//! assert_eq!(one.session().await?.id(), other.session().await?.id());
//! assert_eq!(sipher.live_sessions(), 1, "one for both");
//!
//! one.shutdown(Duration::from_secs(5)).await;
//! assert_eq!(sipher.live_sessions(), 1, "the other still uses it");
//! other.shutdown(Duration::from_secs(5)).await;
//! assert_eq!(sipher.live_sessions(), 0);
//! # Ok(()) }
//! ```
//!
//! # What a store is trusted with
//!
//! Little. Records are encrypted with a key that is derived from the API key, and names are keyed hashes. No API key,
//! viewing key or default is stored in clear. A process refuses a record that was changed or belongs elsewhere. It also
//! refuses a record that is not newer than what it has seen before. It takes the shortest life that the store, the two
//! clocks and the publisher say.
//!
//! A store that lies can do two things. It can delay creates, for as long as requests wait. And it can tell one process
//! that it is the last one: that process then deletes a session which others use.

#[cfg(feature = "store")]
mod memory;
#[cfg(feature = "redis")]
mod redis;

use std::{fmt, future::Future, pin::Pin, time::Duration};

use bytes::Bytes;
use tokio::sync::broadcast;

#[cfg(feature = "store")]
pub use self::memory::MemoryStore;
#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use self::redis::RedisStore;
use crate::error::BoxError;

/// How many changes a slow listener may fall behind before it has to look at everything.
const CHANGES: usize = 256;

/// The future that a [`SessionStore`] returns. It is boxed so that the trait can be used as an object.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// A store in which a fleet keeps its sessions.
///
/// Each method is one atomic step. All times are the store's own, so that processes with different clocks agree.
/// Implemented by [`MemoryStore`], and by `RedisStore` with the feature `redis`.
///
/// For each [`Slot`] a store keeps:
///
/// - at most one [`Record`];
/// - at most one claim on the next record;
/// - the members of each generation;
/// - for at least a day, the highest generation that was published or revoked. A generation that was only claimed is
///   forgotten with the claim.
///
/// # Clocks that step
///
/// Claims, records and leases end by the store's clock, which may step. A step forward ends them early, which costs a
/// create at worst. A step back ends them late. A step must never make a store answer [`Left::Last`]: see
/// [`leave`](Self::leave).
///
/// # Cancel safety
///
/// A future that is dropped may or may not have done its step. Callers repeat the step, or let the claim expire.
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Returns the current record.
    fn get(&self, slot: Slot) -> StoreFuture<'_, Found>;

    /// Claims the right to publish the next record, newer than `after`, for the time of `lease`.
    ///
    /// The granted generation is above `after`, above all that were published or revoked, and above that of the current
    /// claim, if there is one. A member that holds the claim and asks again gets a new grant.
    ///
    /// No generation is granted twice, even if the store has lost its data, unless its clock was also set back. So each
    /// is at least the store's time in milliseconds. One that is above that time is remembered until the time is above
    /// it.
    fn claim(
        &self,
        slot: Slot,
        member: Member,
        after: u64,
        lease: Duration,
    ) -> StoreFuture<'_, Claim>;

    /// Publishes a record as the current one, with `member` as its first user for the time of `lease`. Returns `true`
    /// if the record was accepted. It is accepted only while `member` holds the claim on its generation. If the current
    /// record is published again, returns `true` again.
    fn publish(
        &self,
        slot: Slot,
        member: Member,
        record: Record,
        lease: Duration,
    ) -> StoreFuture<'_, bool>;

    /// Releases the claim on `generation`. No other claim is granted before `pause` has passed.
    fn release(
        &self,
        slot: Slot,
        member: Member,
        generation: u64,
        pause: Duration,
    ) -> StoreFuture<'_, ()>;

    /// Renews the lease of `member` on a record, for the time of `lease` from now on. Returns the record's state.
    ///
    /// Two records are the same if both `generation` and `sealed` are equal. If the slot has another record with this
    /// generation, the answer is [`Kept::Newer`] and `member` is not added. That can happen if the store was flushed
    /// and its clock was set back: then it may grant a generation twice.
    ///
    /// If the store has lost the record, it puts the record back for its `left`, unless that is zero. If it has lost
    /// the generation's members too, [`leave`](Self::leave) returns [`Left::Others`] for this generation from then on.
    fn keep(
        &self,
        slot: Slot,
        member: Member,
        record: Record,
        lease: Duration,
    ) -> StoreFuture<'_, Kept>;

    /// Records that `member` does not use a generation any more.
    ///
    /// The answer is [`Left::Last`] only if every member that ever used the generation has left by calling this method,
    /// and the store is certain to remember them all. The generation is then revoked in the same step, so that no other
    /// member is the last.
    ///
    /// A member whose lease has ended still counts until it leaves: it may live, and the store's clock may have
    /// stepped. If such a member never leaves, the session is left to expire. The session is also left to expire if the
    /// store may have forgotten a member: it was flushed, restarted or failed over, or it evicted a key.
    fn leave(&self, slot: Slot, member: Member, generation: u64) -> StoreFuture<'_, Left>;

    /// Revokes this generation and all older ones, so that no process adopts them. The first time, it also ends the
    /// claim on the next record, whichever member holds it.
    fn revoke(&self, slot: Slot, generation: u64) -> StoreFuture<'_, ()>;

    /// Subscribes to changes of records from now on. Changes are hints: a process that misses one finds out at its next
    /// look.
    fn changes(&self) -> Changes;
}

/// Names the place of one session, that of an API key with a set of defaults. It is a keyed hash of both, which nobody
/// can compute without the API key.
///
/// It prints as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub(crate) [u8; 16]);

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Slot {
    /// Parses the text that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        digits(text).map(|value| Self(value.to_be_bytes()))
    }
}

/// One manager, as the store knows it: a random number, drawn anew in each process.
///
/// It prints as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member(pub(crate) u128);

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Member {
    /// Parses the text that `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        digits(text).map(Self)
    }
}

/// Parses 32 hexadecimal digits.
fn digits(text: &str) -> Option<u128> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(text, 16).ok().filter(|_| is_hex)
}

/// A session as a store keeps it.
#[allow(clippy::exhaustive_structs)] // store implementations construct it
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The generation. Later records have higher ones.
    pub generation: u64,
    /// The encrypted session, which only members can read.
    pub sealed: Bytes,
    /// How long it will still be kept.
    pub left: Duration,
}

/// What a slot contains.
#[allow(clippy::exhaustive_structs)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The current record.
    pub record: Option<Record>,
    /// Whether the store remembers everything that was written about the record. Example: the store restarts from an
    /// older copy, and the session was deleted since. Then this is `false`, until a member that uses the record calls
    /// [`keep`](SessionStore::keep).
    pub is_certain: bool,
    /// The store's time, since 1970.
    pub now: Duration,
}

/// The answer to a claim.
#[allow(clippy::exhaustive_enums)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The member may publish a record with this generation.
    Granted {
        /// The generation of the record that may be published.
        generation: u64,
        /// The store's time, since 1970.
        now: Duration,
    },
    /// Another member holds the claim, or has released it a moment ago after a failure.
    Held {
        /// How long that lasts at most.
        left: Duration,
    },
    /// A newer record exists already.
    Published(Found),
}

/// The state of a record after [`SessionStore::keep`].
#[allow(clippy::exhaustive_enums)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is the current record.
    Current,
    /// Another record is current: a newer one, or one with the same generation.
    Newer(Found),
    /// It was revoked: no member may use it any more.
    Revoked,
    /// The store has no record, and has not put this one back.
    Gone,
}

/// Who uses a generation after a member has left it.
#[allow(clippy::exhaustive_enums)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Certainly no member: each one has left by calling [`SessionStore::leave`].
    Last,
    /// Other members use it, or may use it. A member that was killed counts as one of them.
    Others,
}

/// Announces changes in a store to all [subscribers](Self::subscribe).
#[derive(Clone, Debug)]
pub struct Announcer(broadcast::Sender<Option<Slot>>);

impl Announcer {
    /// Creates an announcer without subscribers.
    pub fn new() -> Self {
        Self(broadcast::Sender::new(CHANGES))
    }

    /// Announces that the record of a slot has changed. `None` stands for any slot.
    pub fn announce(&self, slot: Option<Slot>) {
        let _ = self.0.send(slot);
    }

    /// Subscribes to changes from now on.
    pub fn subscribe(&self) -> Changes {
        Changes(self.0.subscribe())
    }

    #[cfg(feature = "redis")]
    fn has_listeners(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Waits until there are no subscribers any more.
    #[cfg(feature = "redis")]
    async fn unheard(&self) {
        self.0.closed().await;
    }
}

impl Default for Announcer {
    fn default() -> Self {
        Self::new()
    }
}

/// The changes in a store.
#[derive(Debug)]
pub struct Changes(broadcast::Receiver<Option<Slot>>);

impl Changes {
    /// Takes out all pending changes. Returns whether one of them was of another slot than `than`.
    pub(crate) fn has_others(&mut self, than: Slot) -> bool {
        let mut has_others = false;
        loop {
            match self.0.try_recv() {
                Ok(slot) => has_others |= slot != Some(than),
                Err(broadcast::error::TryRecvError::Lagged(_)) => has_others = true,
                Err(_) => return has_others,
            }
        }
    }

    /// Waits for the next change: of a slot, or `None` if it may be any slot. Waits for ever once the store is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future misses nothing.
    pub async fn next(&mut self) -> Option<Slot> {
        match self.0.recv().await {
            Ok(slot) => slot,
            Err(broadcast::error::RecvError::Lagged(_)) => None,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
