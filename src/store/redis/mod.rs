//! The store of a fleet in Redis or Valkey.
//!
//! Every step is one script that runs on the server, so nobody sees one half done. All times are the server's.
//!
//! # What is on the server
//!
//! | key | type | what | ends | bytes |
//! | --- | --- | --- | --- | --- |
//! | `<prefix>:{<slot>}:record` | string | the generation, the history of writes, and the sealed session | with the session | 200 and the session |
//! | `<prefix>:{<slot>}:claim` | string | who may make the next one | with the lease | 220 |
//! | `<prefix>:{<slot>}:highest` | string | the highest generation that is known | with the claim; 48 h after a publication or revocation | 100 |
//! | `<prefix>:{<slot>}:revoked` | string | up to where generations are revoked | 48 h after it was last set | 100 |
//! | `<prefix>:{<slot>}:users:<generation>` | sorted set | the members, and when their leases end | with the session and the last lease | 250, and 50 for each further member, or 140 from 128 members on |
//!
//! That is about 1 kB for each API key with each set of defaults. The bytes are those of `MEMORY USAGE` in Redis 7.0. The braces keep the keys of
//! a slot on one server of a cluster. Changes are told on the one channel `<prefix>:changes`.
//!
//! Nothing on the server is trusted. A value that this store has not put there is an error.
//!
//! # Who may do what
//!
//! A user for the fleet, as one line:
//!
//! ```text
//! ACL SETUSER fleet on >password ~sipher-session:* resetchannels &sipher-session:changes +evalsha +eval +time +info +get +set +del +exists +pttl +pexpire +zadd +zrem +zscore +zcount +publish +subscribe
//! ```
//!
//! In a cluster also `+cluster|slots +asking +ping`, behind sentinels also `+role`. From Redis 7.2 on, and in Valkey, a cluster's connections ask for `+client|setinfo` too, and go on
//! where they may not. Without `+subscribe` all works, and changes are found later.
//!
//! # When a server forgets
//!
//! The last member of a session deletes it, so the server must never call a member the last while another may live. The
//! server says so only of a set of members that is whole: it was begun by a publication, and no member of it was forgotten.
//! A set bears a mark of that, with the server's `run_id` and `master_replid`. One of them changes whenever writes may have
//! been lost: with a restart from an old snapshot or log, and with a replica that takes over. A set without the mark of the
//! present server never becomes whole again, and its session is left to expire. Each record has them too: one from before that may be of a session that was deleted since, so the server is
//! asked about it before anybody takes it up, until one of those who use it has said so again. A server that tells neither is never believed, and its sessions are left to expire.
//!
//! What no server can tell: a master that is cut off, and goes on while a replica has taken over, may gain members that the
//! replica does not know, and call one of its own the last. One session may then be deleted while some still use it.
//! `min-replicas-to-write` ends it.
//!
//! A server that is full (`noeviction`) refuses steps as a whole. One that evicts keys forgets them one by one: a set of
//! members that was evicted is not whole when it comes back. Do not let it evict `revoked`: `volatile-ttl` takes the ones that end soon first.
//!
//! # When the server's clock steps
//!
//! All keys end by the server's wall clock. If it steps forward, claims and records end early: another process makes a
//! session, at the cost of a create, and members put their record back. A lease that ends takes no member out of its set, and a set that
//! ends early is not whole when it comes back. So a step never deletes a session that is in use; it is left to expire. If the clock steps back, keys end later.
//!
//! # Generations
//!
//! They are compared as decimal numbers of up to 20 digits, exact in all 64 bits. Each is at least the server's time in milliseconds,
//! so that it is higher than what was granted before everything was forgotten. One that is only claimed is kept with the claim, and until that time
//! is above it; one that was published or revoked is kept for 48 h. At 2⁶⁴ − 1 they stay, and that one is granted again and again: nobody gets
//! there but by asking for a generation after it.
//!
//! # Connections
//!
//! One for all clones, with version 3 of the protocol, which tells of changes on the same connection that is asked. It is
//! made by the first call. When it is lost, the next call makes another, and so does whoever listens, after 0.1 s up to 10 s. A call that finds it
//! lost only then fails, and the next one works. Every call ends within the timeout. Nothing is tried twice. A server that refuses
//! `HELLO` does not know version 3: add `?protocol=resp2` to the URL, and changes are told on a second connection.
//!
//! * A cluster: any of its nodes is enough to find the others.
//! * Sentinels: they are asked for the master with every connection that is made. A master that was set back to a replica
//!   refuses to be written to, which counts as a lost connection.
//! * TLS: `rediss://`, with the crate's feature `rustls` and the certificates of the system. It goes by the `CryptoProvider` that the process has installed, and
//!   by the one of `reqwest` where there is no other; a program with two of them has to install one.
//!
//! # Versions
//!
//! Redis 6.2 or later is needed, or any Valkey. The tests run with Redis 7.0.15, or with what `REDIS_SERVER` names.

mod answer;
mod apart;
mod connection;
mod error;
mod keys;
mod link;
mod listen;
mod script;

use std::{fmt, sync::Arc, time::Duration};

use redis::Value;

use self::{
    answer::{millis, positive_millis},
    connection::Target,
    error::Trouble,
    keys::Keys,
    link::Link,
    listen::Listener,
    script::Call,
};
use super::{
    Announcer, Changes, Claim, Found, Kept, Left, Member, Record, SessionStore, Slot, StoreFuture,
};
use crate::error::Error;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps the sessions of a fleet in Redis or Valkey.
///
/// Clones share one connection. Building opens none, spawns nothing and needs no runtime; the first call does. All
/// tasks end with the last clone.
///
/// ```no_run
/// use std::time::Duration;
/// use sipher_session::store::RedisStore;
///
/// let store = RedisStore::connect("redis://fleet:password@redis.internal:6379")?
///     .prefix("production")?
///     .timeout(Duration::from_millis(500));
/// # let _ = store;
/// # Ok::<(), sipher_session::Error>(())
/// ```
///
/// # Errors
///
/// Those of its steps are a `redis::RedisError`, whose version is no part of the interface, or say that the server did not answer in time or
/// answered with something else. None shows a password.
///
/// # Cancel safety
///
/// A call that is dropped may have been carried out. The connection stays.
///
#[derive(Clone)]
pub struct RedisStore(Arc<Shared>);

struct Shared {
    target: Target,
    keys: Keys,
    timeout: Duration,
    announcer: Announcer,
    link: Arc<Link>,
    listener: Listener,
}

impl RedisStore {
    /// Takes one server, such as `redis://user:password@host:6379/0`.
    ///
    /// `rediss://` is TLS, `unix:///path` a socket. `valkey://` and `valkeys://` are the same as `redis://` and `rediss://`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is not such a URL, or is one with TLS without the feature
    /// `rustls`. No error repeats the URL.
    pub fn connect(url: &str) -> Result<Self, Error> {
        Target::server(url).map(Self::to)
    }

    /// Takes a cluster: some of its nodes, as in [`connect`](Self::connect), which tell of the others.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), and if the URLs differ in more than the host and the port, or there is none.
    pub fn cluster<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Result<Self, Error> {
        with_all(urls, Target::cluster).map(Self::to)
    }

    /// Takes the server that sentinels know by this name. They are asked again whenever the connection is lost.
    ///
    /// The URLs are those of the sentinels, with what logs in to them. Where the server wants a user, a
    /// password, another database or TLS, `master` is a URL with the name in place of the host:
    /// `redis://user:password@mymaster/0`.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), and if there is no URL or no name.
    pub fn sentinel<U: AsRef<str>>(
        urls: impl IntoIterator<Item = U>,
        master: &str,
    ) -> Result<Self, Error> {
        with_all(urls, |urls| Target::sentinels(urls, master)).map(Self::to)
    }

    /// Sets what every key, and the channel, begins with. Defaults to `sipher-session`.
    ///
    /// Only managers with the same prefix share sessions. Clones that were made before keep theirs, and do not share
    /// the connection with this one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is empty or has braces, which name a cluster's slot.
    pub fn prefix(self, prefix: &str) -> Result<Self, Error> {
        let keys = Keys::new(prefix)?;
        let Shared {
            target, timeout, ..
        } = &*self.0;
        Ok(Self::of(target.clone(), keys, *timeout))
    }

    /// Sets how long one call may take, with connecting if need be. Defaults to 1 s.
    ///
    /// Clones that were made before keep theirs, and do not share the connection with this one.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        let Shared { target, keys, .. } = &*self.0;
        Self::of(target.clone(), keys.clone(), timeout)
    }

    fn to(target: Target) -> Self {
        Self::of(target, Keys::default(), DEFAULT_TIMEOUT)
    }

    fn of(target: Target, keys: Keys, timeout: Duration) -> Self {
        let announcer = Announcer::new();
        let link = Link::new(target.clone(), timeout, announcer.clone());
        Self(Arc::new(Shared {
            target,
            keys,
            timeout,
            announcer,
            link: Arc::new(link),
            listener: Listener::default(),
        }))
    }

    fn listen(&self) {
        let Shared {
            listener,
            link,
            announcer,
            keys,
            ..
        } = &*self.0;
        listener.ensure(link, announcer, &keys.channel());
    }

    fn step<T: Send + 'static>(
        &self,
        call: Call,
        read: impl FnOnce(Value) -> Result<T, Trouble> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        Box::pin(async move {
            self.listen();
            let answer = self.0.link.run(call).await?;
            Ok(read(answer)?)
        })
    }
}

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

    /// Subscribes in the background, from now on or, outside of a runtime, from the next call on. It ends with the
    /// last one that listens.
    fn changes(&self) -> Changes {
        let changes = self.0.announcer.subscribe();
        self.listen();
        changes
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("at", &self.0.target)
            .field("prefix", &self.0.keys.prefix())
            .field("timeout", &self.0.timeout)
            .finish_non_exhaustive()
    }
}

fn with_all<U: AsRef<str>>(
    urls: impl IntoIterator<Item = U>,
    target: impl FnOnce(&[&str]) -> Result<Target, Error>,
) -> Result<Target, Error> {
    let urls: Vec<U> = urls.into_iter().collect();
    let urls: Vec<&str> = urls.iter().map(AsRef::as_ref).collect();
    target(&urls)
}
