//! Asks the server at intervals for its own count of an API key's calls, because other processes may use the key too.

use std::{sync::Arc, time::Duration};

use super::{by_hand, core::Core, stage::Stage};
use crate::model::partition::Partition;

const TIMEOUT: Duration = Duration::from_secs(5);

impl Core {
    /// Called after each counted call of this key. Asks for the quota in a task if that is due. No caller waits for
    /// it, and a failure does no harm.
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
