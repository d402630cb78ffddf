//! The connection that all clones of a store share: made on first use, and again when it was lost.

use std::{
    process,
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{ErrorKind, PushInfo, PushKind, RedisError, ServerErrorKind, Value};
use tokio::sync::Notify;

use super::{
    apart,
    connection::{Connection, Target},
    error::Trouble,
    script::Call,
};
use crate::{
    error::BoxError,
    lock::Lock,
    store::{Announcer, Slot},
};

#[derive(Debug)]
pub(super) struct Link {
    target: Target,
    timeout: Duration,
    announcer: Announcer,
    live: Lock<Option<Live>>,
    /// Held by whoever connects, so that one connection is made and not one for each caller. The others wait for it for half of their
    /// time.
    connecting: tokio::sync::Mutex<()>,
}

/// A connection, and whether it still is one.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: Connection,
    lost: Arc<Lost>,
    /// The one that made it. Whoever is forked off has a copy of the socket, and nobody who reads from it.
    process: u32,
}

#[derive(Default)]
struct Lost {
    is: AtomicBool,
    told: Notify,
}

impl Link {
    pub(super) fn new(target: Target, timeout: Duration, announcer: Announcer) -> Self {
        Self {
            target,
            timeout,
            announcer,
            live: Lock::new(None),
            connecting: tokio::sync::Mutex::new(()),
        }
    }

    /// Runs a script, within the timeout. A connection on which it failed is not used again.
    pub(super) async fn run(&self, call: Call) -> Result<Value, BoxError> {
        let asked = self.within(async {
            let mut live = self.live().await?;
            let answer = call.run(&mut live.connection).await;
            answer.inspect_err(|error| live.lose_if_broken(error))
        });
        asked.await
    }

    /// Announces changes until the connection that they come on is lost. Returns whether there was one.
    pub(super) async fn hear(&self, channel: &str) -> bool {
        if !self.target.tells_by_itself() {
            return apart::hear(&self.target, self.timeout, channel, &self.announcer).await;
        }
        let Ok(live) = self.connected().await else {
            return false;
        };
        if self.subscribe(&live, channel).await.is_err() {
            return false;
        }
        live.lost().await;
        true
    }

    async fn subscribe(&self, live: &Live, channel: &str) -> Result<(), BoxError> {
        let subscribed = self.within(async {
            let subscribed = live.connection.clone().subscribe(channel).await;
            subscribed.inspect_err(|error| live.lose_if_broken(error))
        });
        subscribed.await
    }

    async fn connected(&self) -> Result<Live, BoxError> {
        self.within(self.live()).await
    }

    async fn within<T>(
        &self,
        step: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, BoxError> {
        if let Ok(done) = tokio::time::timeout(self.timeout, Box::pin(step)).await {
            return done.map_err(Trouble::explained);
        }
        // It may be a connection whose other end is gone without a word.
        self.lose();
        Err(Trouble::TimedOut(self.timeout).into())
    }

    async fn live(&self) -> Result<Live, RedisError> {
        if let Some(live) = self.usable() {
            return Ok(live);
        }
        // Not for ever: whoever connects may stand on a runtime that is not driven any more.
        let _connecting = tokio::time::timeout(self.timeout / 2, self.connecting.lock()).await;
        if let Some(live) = self.usable() {
            return Ok(live);
        }
        let lost = Arc::<Lost>::default();
        let told = teller(
            self.announcer.clone(),
            lost.clone(),
            self.target.mends_itself(),
        );
        let connection = self.target.connect(self.timeout, told).await?;
        let live = Live {
            connection,
            lost,
            process: process::id(),
        };
        *self.current() = Some(live.clone());
        Ok(live)
    }

    fn usable(&self) -> Option<Live> {
        self.current()
            .as_ref()
            .filter(|live| !live.is_lost() && live.process == process::id())
            .cloned()
    }

    fn current(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock()
    }

    fn lose(&self) {
        if let Some(live) = self.current().take() {
            live.lost.tell();
        }
    }
}

impl Live {
    fn lose_if_broken(&self, error: &RedisError) {
        if is_broken(error) {
            self.lost.tell();
        }
    }

    fn is_lost(&self) -> bool {
        self.lost.is.load(Ordering::SeqCst)
    }

    /// Waits until it is not used any more.
    async fn lost(&self) {
        let mut told = std::pin::pin!(self.lost.told.notified());
        told.as_mut().enable();
        if !self.is_lost() {
            told.await;
        }
    }
}

impl Lost {
    fn tell(&self) {
        self.is.store(true, Ordering::SeqCst);
        self.told.notify_waiters();
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("is_lost", &self.is_lost())
            .finish_non_exhaustive()
    }
}

/// Whether the connection is of no use: it is gone, or leads to a server that is not the master any more. What else
/// a server says of a call is no reason to leave it.
fn is_broken(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
        || error.to_string().contains("READONLY") // as older servers say it from inside of a script
}

/// Makes changes of what the server tells.
fn teller(
    announcer: Announcer,
    lost: Arc<Lost>,
    mends_itself: bool,
) -> impl Fn(PushInfo) + Send + Sync {
    move |push| match push.kind {
        PushKind::Message => announcer.announce(slot_in(&push.data)),
        // From here on nothing is missed; what was before may have been.
        PushKind::Subscribe => announcer.announce(None),
        PushKind::Disconnection if !mends_itself => lost.tell(),
        _ => {}
    }
}

/// Of a message, which has the channel first. `None` for what is not a slot.
fn slot_in(data: &[Value]) -> Option<Slot> {
    match data {
        [_, Value::BulkString(text)] => slot_of(text),
        _ => None,
    }
}

pub(super) fn slot_of(text: &[u8]) -> Option<Slot> {
    Slot::parse(std::str::from_utf8(text).ok()?)
}
