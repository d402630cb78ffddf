//! The server's own count of a key's calls, which is asked for now and then: other processes use the key too.

use std::{sync::Arc, time::Duration};

use super::{by_hand, core::Core, stage::Stage};
use crate::model::partition::Partition;

const TIMEOUT: Duration = Duration::from_secs(5);

impl Core {
    /// A call was made for this key, of whatever kind. Nobody waits for what follows, nor is it missed if it fails.
    pub(crate) fn counted_call(self: &Arc<Self>, partition: &Partition) {
        if self.stage() == Stage::Open && self.gate().asks_for_quota(partition.key_id, self.now()) {
            tokio::spawn(ask(self.clone(), partition.clone()));
        }
    }
}

async fn ask(core: Arc<Core>, partition: Partition) {
    let api = core.calls(&partition).watched(by_hand::watching(&core));
    let answer = tokio::select! {
        biased;
        _ = core.closed() => return,
        answer = async { api.timeout(TIMEOUT).quota().await } => answer,
    };
    if let Ok(quota) = answer {
        let now = core.now();
        core.gate().heed_quota(partition.key_id, quota, now);
    }
}
