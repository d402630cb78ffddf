//! Sessions that a fleet shares: many processes on one API key, with one session for each set of defaults.
//!
//! Without a store every process has sessions of its own, and a thousand of them use up what one key may do in a day.
//! With one, whoever comes first makes the session and the others take it up; before it ends, one of them makes the
//! successor; and the last one that leaves it deletes it.
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
//! Little. What it keeps is sealed by a key that is derived from the API key, names are keyed hashes, and no API key,
//! viewing key or default is in it in clear. A record that was changed, or belongs elsewhere, is refused, and so is one that is not newer than
//! what the process has seen before. Its life is what the store, the two clocks and the publisher's own words agree on at
//! least. Two things a store that lies can do: hold up creates, for as long as requests wait; and tell one process that
//! it is the last, which then deletes a session that others use.

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

/// How many changes a slow listener may fall behind before it looks at everything.
const CHANGES: usize = 256;

/// What a [`SessionStore`] returns: boxed, so that the trait can be used as an object.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send + 'a>>;

/// Where a fleet keeps its sessions.
///
/// Each method is one step that nobody sees half done. All times are the store's own, so that processes whose clocks differ agree. Implemented by
/// [`MemoryStore`], and by `RedisStore` with the feature `redis`.
///
/// For each [`Slot`] a store keeps at most one [`Record`]; at most one claim on the next one; the members of
/// each generation; and the highest generation that was published or revoked, for at least a day. What was merely claimed is
/// forgotten with the claim.
///
/// # Clocks that step
///
/// Claims, records and leases end by the store's clock, which may step. One that steps forward ends them early, which costs a
/// create at worst. One that steps back ends them late. Neither may ever make a member the last one, see [`leave`](Self::leave).
///
/// # Cancel safety
///
/// A future that is dropped may have done its step or not: callers repeat it, or let what was claimed lapse.
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Looks up the current record.
    fn get(&self, slot: Slot) -> StoreFuture<'_, Found>;

    /// Claims the next record, which is newer than `after`, for the time of `lease`.
    ///
    /// The granted generation is above `after`, above every one that was published or revoked, and above every one that was
    /// granted before, while that claim lives. Whoever holds the claim and asks again is granted it anew.
    ///
    /// No generation is granted twice: each is the store's time in milliseconds at least, and a higher one is remembered
    /// until that time is above it.
    fn claim(
        &self,
        slot: Slot,
        member: Member,
        after: u64,
        lease: Duration,
    ) -> StoreFuture<'_, Claim>;

    /// Makes a record the current one, and `member` its first user, for the time of `lease`. Returns whether it was accepted: only
    /// while the claim on its generation is held. Told again of the record that is current, it says yes again.
    fn publish(
        &self,
        slot: Slot,
        member: Member,
        record: Record,
        lease: Duration,
    ) -> StoreFuture<'_, bool>;

    /// Releases the claim on `generation`. No other is granted before `pause` has passed.
    fn release(
        &self,
        slot: Slot,
        member: Member,
        generation: u64,
        pause: Duration,
    ) -> StoreFuture<'_, ()>;

    /// Says that `member` uses a record, for the time of `lease` from now on, and looks up what is current.
    ///
    /// Two records are the same if both `generation` and `sealed` are. If another record has this generation, the answer is
    /// [`Kept::Newer`] and `member` is not noted: a store that was flushed, and whose clock was set back, may grant a generation
    /// twice.
    ///
    /// A record that the store has lost is put back for its `left`, unless that is zero. If the store has lost the
    /// generation's members too, the answer to [`leave`](Self::leave) is [`Left::Others`] for this generation from then on.
    fn keep(
        &self,
        slot: Slot,
        member: Member,
        record: Record,
        lease: Duration,
    ) -> StoreFuture<'_, Kept>;

    /// Says that `member` uses a generation no more.
    ///
    /// The answer is [`Left::Last`] only when every member that ever used the generation has left by its own word, and the
    /// store is certain to remember them all. The generation is then revoked in the same step, and nobody else is the last.
    ///
    /// A lease that ends makes nobody the last: the member may live, and the store's clock may have stepped. Such a member
    /// stays one until it leaves. If it never does, or if the store may have forgotten a member (it was flushed, restarted or
    /// failed over, or evicted a key), the session is left to expire.
    fn leave(&self, slot: Slot, member: Member, generation: u64) -> StoreFuture<'_, Left>;

    /// Ends that this generation, or an older one, is taken up. The first time, it also ends the claim on the next record, whoever has it.
    fn revoke(&self, slot: Slot, generation: u64) -> StoreFuture<'_, ()>;

    /// Listens to changes of records from here on. These are hints: whoever misses one finds out when it next looks.
    fn changes(&self) -> Changes;
}

/// Names where the session of one API key with one set of defaults is kept: a keyed hash of them, which nobody can
/// undo without the API key.
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
    /// Reads what `Display` writes.
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
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        digits(text).map(Self)
    }
}

/// 32 hexadecimal ones.
fn digits(text: &str) -> Option<u128> {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(text, 16).ok().filter(|_| is_hex)
}

/// A session as a store keeps it.
#[allow(clippy::exhaustive_structs)] // stores have to be able to make one
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Later ones are higher.
    pub generation: u64,
    /// What only members can read.
    pub sealed: Bytes,
    /// How long it is still kept.
    pub left: Duration,
}

/// What there is in a slot.
#[allow(clippy::exhaustive_structs)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The current record.
    pub record: Option<Record>,
    /// Whether all that was written about it is known. Not so where a store came back from an older copy of itself: the session may
    /// have been deleted since. Once one of its users has [kept](SessionStore::keep) it, it is certain again.
    pub is_certain: bool,
    /// The store's time, since 1970.
    pub now: Duration,
}

/// Whether one may make a record.
#[allow(clippy::exhaustive_enums)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Yes, with this generation.
    Granted {
        /// The generation of the record that may be published.
        generation: u64,
        /// The store's time, since 1970.
        now: Duration,
    },
    /// Another member is at it, or has failed a moment ago; so long at most.
    Held {
        /// How long.
        left: Duration,
    },
    /// There is one already.
    Published(Found),
}

/// What is known of a record that was to be kept.
#[allow(clippy::exhaustive_enums)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is the current one.
    Current,
    /// There is another one: a newer one, or one with the same generation.
    Newer(Found),
    /// Nobody is to use it any more.
    Revoked,
    /// The store has none, and has not put it back.
    Gone,
}

/// Who uses a record that a member has left.
#[allow(clippy::exhaustive_enums)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Nobody, for certain: every member has left by its own word.
    Last,
    /// Others use it, or may use it. A member that was killed counts as one of them.
    Others,
}

/// Tells of changes in a store, to whoever [subscribed](Self::subscribe).
#[derive(Clone, Debug)]
pub struct Announcer(broadcast::Sender<Option<Slot>>);

impl Announcer {
    /// Makes one that nobody listens to yet.
    pub fn new() -> Self {
        Self(broadcast::Sender::new(CHANGES))
    }

    /// Tells that the record of a slot has changed; `None` for any of them.
    pub fn announce(&self, slot: Option<Slot>) {
        let _ = self.0.send(slot);
    }

    /// Listens from here on.
    pub fn subscribe(&self) -> Changes {
        Changes(self.0.subscribe())
    }

    #[cfg(feature = "redis")]
    fn has_listeners(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// Waits until nobody listens any more.
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

/// Changes in a store, as they come.
#[derive(Debug)]
pub struct Changes(broadcast::Receiver<Option<Slot>>);

impl Changes {
    /// Whether there were more changes, of other slots than this; all that there were are taken out.
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

    /// Waits for the next change: of a slot, or `None` if it may be any. Never ends when the store is gone.
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
