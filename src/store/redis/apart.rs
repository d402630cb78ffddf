//! A subscription to changes on a connection of its own, as version 2 of the protocol needs.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    time::Duration,
};

use futures_core::Stream;
use redis::{
    RedisResult, Value,
    aio::{PubSub, PubSubSink, PubSubStream},
};
use tokio::time::{sleep, timeout};

use super::{connection::Target, link::slot_of};
use crate::store::Announcer;

/// How often to ping: nothing else is sent on this connection.
const PING_EVERY: Duration = Duration::from_secs(10);

/// Announces changes until the connection is lost. Returns whether there was a connection.
pub(super) async fn hear(
    target: &Target,
    within: Duration,
    channel: &str,
    announcer: &Announcer,
) -> bool {
    let subscribing = Box::pin(subscribed(target, channel));
    let Ok(Ok(connection)) = timeout(within, subscribing).await else {
        return false;
    };
    // Changes before the subscription may have been missed. From now on, none is.
    announcer.announce(None);
    let (sink, messages) = connection.split();
    tokio::select! {
        () = announce(messages, announcer) => {}
        () = answers(sink, within) => {}
    }
    true
}

async fn subscribed(target: &Target, channel: &str) -> RedisResult<PubSub> {
    let mut connection = target.connect_apart().await?;
    connection.subscribe(channel).await?;
    Ok(connection)
}

async fn announce(messages: PubSubStream, announcer: &Announcer) {
    let mut messages = pin!(messages);
    while let Some(message) = poll_fn(|cx| Pin::as_mut(&mut messages).poll_next(cx)).await {
        announcer.announce(slot_of(message.get_payload_bytes()));
    }
}

/// Returns once the server does not answer a ping.
async fn answers(mut sink: PubSubSink, within: Duration) {
    loop {
        sleep(PING_EVERY).await;
        if !matches!(timeout(within, sink.ping::<Value>()).await, Ok(Ok(_))) {
            return;
        }
    }
}
