//! The call that creates a session.

use std::time::Duration;

use super::Create;
use crate::{
    api::CreateSession,
    driver::{flight::Outcome, observe::Call},
};

impl Create {
    /// Makes one call, which is already counted in the budget.
    pub(super) async fn call(&mut self) -> Outcome {
        let (core, partition) = (self.core.clone(), self.partition.clone());
        // Read before the call, so that the time on the way to the server counts as part of the session's life.
        let (born, signs) = (core.now(), core.suspicion.signs());
        let time_left = self.attempt.time_left(born);
        // The store would refuse a session that comes after the claim has lapsed.
        let accepted_for = self.claiming.accepted_for(born);
        let time_left = time_left.min(accepted_for.unwrap_or(time_left));
        let api = core.calls(&partition);
        let request = CreateSession::new((*partition.defaults).clone()).ttl(core.settings.ttl);
        core.observer.session_call(Call::Create);
        match api.timeout(time_left).create_with_head(&request).await {
            Ok((record, head)) => {
                let made_at = Duration::from_millis(record.created_at.unwrap_or_default());
                core.saw_create(&head, born, made_at);
                core.answered_to(&partition);
                core.counted_call(&partition);
                let generation = self.number_of_session();
                self.accept(&record, generation, born, signs)
            }
            Err(error) => {
                self.look_at(&partition, &error, born);
                if error.is_unknown_outcome() {
                    core.emit(partition.possible_orphan(Some(error.clone())));
                }
                Err(error)
            }
        }
    }
}
