//! The connection that all clones of a store share. It is made on first use, and again after it is lost.

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
    /// Held by the call that connects, so that only one connection is made. Other calls wait for it for half of their
    /// timeout.
    connecting: tokio::sync::Mutex<()>,
}

/// A connection, and whether it still works.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: Connection,
    lost: Arc<Lost>,
    /// The process that made the connection. A forked child has a copy of the socket, but no task that reads from it.
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

    /// Runs a script within the timeout. If the connection breaks, it is not used again.
    pub(super) async fn run(&self, call: Call) -> Result<Value, BoxError> {
        let asked = self.within(async {
            let mut live = self.live().await?;
            let answer = call.run(&mut live.connection).await;
            answer.inspect_err(|error| live.lose_if_broken(error))
        });
        asked.await
    }

    /// Announces changes until their connection is lost. Returns whether there was a connection.
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
        // The other end may be gone without closing the connection.
        self.lose();
        Err(Trouble::TimedOut(self.timeout).into())
    }

    async fn live(&self) -> Result<Live, RedisError> {
        if let Some(live) = self.usable() {
            return Ok(live);
        }
        // The wait is limited: the call that connects may be on a runtime that is not driven any more.
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

    /// Waits until the connection is not used any more.
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

/// Returns whether the connection is useless: it is closed, or leads to a server that is not the master any more. Other
/// errors of the server are no reason to drop the connection.
fn is_broken(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_unrecoverable_error()
        || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
        || error.to_string().contains("READONLY") // older servers say it so from inside a script
}

/// Returns a function that turns the server's messages into announcements.
fn teller(
    announcer: Announcer,
    lost: Arc<Lost>,
    mends_itself: bool,
) -> impl Fn(PushInfo) + Send + Sync {
    move |push| match push.kind {
        PushKind::Message => announcer.announce(slot_in(&push.data)),
        // Changes before the subscription may have been missed. From now on, none is.
        PushKind::Subscribe => announcer.announce(None),
        PushKind::Disconnection if !mends_itself => lost.tell(),
        _ => {}
    }
}

/// Returns the slot in a message, whose first part is the channel. Returns `None` if it names no slot.
fn slot_in(data: &[Value]) -> Option<Slot> {
    match data {
        [_, Value::BulkString(text)] => slot_of(text),
        _ => None,
    }
}

pub(super) fn slot_of(text: &[u8]) -> Option<Slot> {
    Slot::parse(std::str::from_utf8(text).ok()?)
}
