//! Hearing of changes over a connection of its own, which version 2 of the protocol needs.

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

/// How often the other end is asked whether it is there: nothing else is sent on this connection.
const PING_EVERY: Duration = Duration::from_secs(10);

/// Announces what is told, until the connection is lost. Returns whether there was one.
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
    // From here on nothing is missed; what was before may have been.
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

/// Ends when the other end does not answer any more.
async fn answers(mut sink: PubSubSink, within: Duration) {
    loop {
        sleep(PING_EVERY).await;
        if !matches!(timeout(within, sink.ping::<Value>()).await, Ok(Ok(_))) {
            return;
        }
    }
}
