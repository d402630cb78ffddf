//! The store of a fleet in Redis or Valkey.
//!
//! Every step is one script that runs on the server, so each step is atomic. All times are the server's.
//!
//! # What is on the server
//!
//! | key | type | what | ends | bytes |
//! | --- | --- | --- | --- | --- |
//! | `<prefix>:{<slot>}:record` | string | the generation, the history of writes, and the encrypted session | with the session | 200 and the session |
//! | `<prefix>:{<slot>}:claim` | string | the member that may publish the next record | with the lease | 220 |
//! | `<prefix>:{<slot>}:highest` | string | the highest known generation | with the claim; 48 h after a publication or revocation | 100 |
//! | `<prefix>:{<slot>}:revoked` | string | the highest revoked generation | 48 h after it was last set | 100 |
//! | `<prefix>:{<slot>}:users:<generation>` | sorted set | the members, and when their leases end | with the session and the last lease | 250, and 50 for each further member, or 140 from 128 members on |
//!
//! That is about 1 kB for each API key with each set of defaults. The bytes are those of `MEMORY USAGE` in Redis 7.0.
//! The braces keep the keys of a slot on one server of a cluster. Changes are announced on one channel,
//! `<prefix>:changes`.
//!
//! Nothing on the server is trusted. A value that this store has not put there is an error.
//!
//! # Access rules
//!
//! A user for the fleet, as one line:
//!
//! ```text
//! ACL SETUSER fleet on >password ~sipher-session:* resetchannels &sipher-session:changes +evalsha +eval +time +info +get +set +del +exists +pttl +pexpire +zadd +zrem +zscore +zcount +publish +subscribe
//! ```
//!
//! In a cluster the user also needs `+cluster|slots +asking +ping`, and behind sentinels `+role`. In Redis 7.2 or later
//! and in Valkey, a cluster's connections also try `client|setinfo`, and go on if it is denied. Without `+subscribe`
//! everything works, but a process finds changes later.
//!
//! # When a server forgets
//!
//! The last member that leaves a session deletes it. A server that has forgotten a member must not call another one the
//! last. So a member is the last one only if the set of members is *whole*: a publication began the set, and the server
//! has forgotten no member since.
//!
//! A whole set has a mark that is made of the server's `run_id` and `master_replid`. One of them changes whenever
//! writes may have been lost: after a restart from an old snapshot or log, and when a replica takes over. A set without
//! the mark of the present server never becomes whole again, and its session is left to expire.
//!
//! Each record has the same mark. If it is not the present server's, the session may have been deleted since. A process
//! then checks the session with Sipher before it adopts it, until a member that uses the session has renewed its lease.
//! If a server reports neither `run_id` nor `master_replid`, no mark is ever trusted, and its sessions are left to
//! expire.
//!
//! One case cannot be detected: a master that is cut off goes on while a replica has taken over. It may gain members
//! that the replica does not know, and call one of its own members the last. One session may then be deleted while
//! others still use it. `min-replicas-to-write` prevents this.
//!
//! A full server with the policy `noeviction` refuses whole steps. A server that evicts keys forgets them one by one. A
//! set of members that was evicted is not whole when it comes back. Do not let the server evict `revoked`: the policy
//! `volatile-ttl` evicts keys that expire soon first.
//!
//! # When the server's clock steps
//!
//! All keys expire by the server's wall clock. If it steps forward, claims and records expire early. Then another
//! process creates a session, at the cost of a create, and members put their record back. A lease that ends removes no
//! member from its set, and a set that expires early is not whole when it comes back. So a step never deletes a session
//! in use: the session is left to expire. If the clock steps back, keys expire later.
//!
//! # Generations
//!
//! Generations are compared as decimal numbers of up to 20 digits, exact in all 64 bits. Each is at least the server's
//! time in milliseconds. So a new one is higher than the old ones, even if the server has forgotten the old ones. A
//! generation that was only claimed is remembered with the claim, and until the time is above it. One that was
//! published or revoked is remembered for 48 h. A caller that asks for a generation after 2⁶⁴ − 1 gets this one again.
//!
//! # Connections
//!
//! All clones share one connection. It uses version 3 of the protocol, which delivers changes on the same connection.
//! The first call connects. If the connection is lost, the call that finds it lost fails. The next call connects again,
//! or the task that listens for changes does so after 0.1 s up to 10 s. Every call ends within the timeout, and none is
//! retried. A server that refuses `HELLO` does not know version 3: add `?protocol=resp2` to the URL. Changes then come
//! on a second connection.
//!
//! * A cluster: any of its nodes is enough to find the others.
//! * Sentinels: they are asked for the master with every connection that is made. A master that became a replica again
//!   refuses writes, which counts as a lost connection.
//! * TLS: `rediss://`, with the crate's feature `rustls` and the certificates of the system. It uses the
//!   `CryptoProvider` that the process has installed. If there is none, it uses the one of `reqwest`. A program with
//!   two of them has to install one.
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
mod steps;

use std::{fmt, sync::Arc, time::Duration};

use redis::Value;

use self::{
    connection::Target, error::Trouble, keys::Keys, link::Link, listen::Listener, script::Call,
};
use super::{Announcer, StoreFuture};
use crate::error::Error;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps the sessions of a fleet in Redis or Valkey.
///
/// Clones share one connection. Creating the store opens no connection, spawns nothing and needs no runtime. The first
/// call connects. All tasks end with the last clone.
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
/// A step can fail with a `redis::RedisError`, whose version is not part of this crate's interface. It can also fail
/// because the server did not answer in time or gave a malformed answer. No error shows a password.
///
/// # Cancel safety
///
/// A call that is dropped may have been carried out. The connection stays usable.
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
    /// Uses one server, such as `redis://user:password@host:6379/0`.
    ///
    /// `rediss://` is TLS, and `unix:///path` a socket. `valkey://` and `valkeys://` mean the same as `redis://` and
    /// `rediss://`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the URL is malformed, or needs TLS without the feature
    /// `rustls`. No error repeats the URL.
    pub fn connect(url: &str) -> Result<Self, Error> {
        Target::server(url).map(Self::to)
    }

    /// Uses a cluster. Give the URLs of some of its nodes, as in [`connect`](Self::connect). They name the other nodes.
    ///
    /// # Errors
    ///
    /// Fails like [`connect`](Self::connect). Also fails if there is no URL, or if the URLs differ in more than host
    /// and port.
    pub fn cluster<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Result<Self, Error> {
        with_all(urls, Target::cluster).map(Self::to)
    }

    /// Uses the master that sentinels know by this name. They are asked again whenever the connection is lost.
    ///
    /// The URLs are those of the sentinels, with their logins. If the master needs a user, a password, another database
    /// or TLS, let `master` be a URL with the name in place of the host: `redis://user:password@mymaster/0`.
    ///
    /// # Errors
    ///
    /// Fails like [`connect`](Self::connect). Also fails if there is no URL or no name.
    pub fn sentinel<U: AsRef<str>>(
        urls: impl IntoIterator<Item = U>,
        master: &str,
    ) -> Result<Self, Error> {
        with_all(urls, |urls| Target::sentinels(urls, master)).map(Self::to)
    }

    /// Sets the prefix of every key and of the channel. Defaults to `sipher-session`.
    ///
    /// Only managers with the same prefix share sessions. Earlier clones keep their prefix, and do not share the
    /// connection with this store.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the prefix is empty or has braces, which a cluster gives a
    /// meaning.
    pub fn prefix(self, prefix: &str) -> Result<Self, Error> {
        let keys = Keys::new(prefix)?;
        let Shared {
            target, timeout, ..
        } = &*self.0;
        Ok(Self::of(target.clone(), keys, *timeout))
    }

    /// Sets how long one call may take, including connecting. Defaults to 1 s.
    ///
    /// Earlier clones keep their timeout, and do not share the connection with this store.
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
