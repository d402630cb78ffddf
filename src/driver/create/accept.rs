//! Checks the session that the server says it has created.

use std::sync::Arc;

use super::Create;
use crate::{
    api::{SessionRecord, scrub},
    clock::Reading,
    driver::flight::Outcome,
    hot::session::LiveSession,
    model::{echo, event::Event, life::Life, reason::RetireReason},
};

impl Create {
    /// Returns the generation for a session. The first session that this create makes or adopts gets the create's own
    /// number. Each further one gets a new number.
    pub(crate) fn number_of_session(&mut self) -> u64 {
        let own = self.number.take();
        own.unwrap_or_else(|| self.core.next_number())
    }

    pub(super) fn accept(
        &self,
        record: &SessionRecord,
        generation: u64,
        born: Reading,
        signs: u64,
    ) -> Outcome {
        let (core, partition) = (&self.core, &self.partition);
        let ttl = core.settings.ttl;
        let session = |life| {
            let life = Life::new(born, life, core.with_rng(fastrand::Rng::f64));
            Arc::new(LiveSession::new(
                &record.id,
                generation,
                partition.clone(),
                life,
                (record.created_at.unwrap_or_default(), core.now(), signs),
            ))
        };
        match echo::check(record, &partition.defaults, ttl) {
            Ok(granted) => {
                let session = session(granted.life);
                for name in granted.unknown {
                    let name = scrub::text(&name, &[]);
                    core.emit(Event::UnknownDefault {
                        session: session.reference(),
                        name,
                    });
                }
                Ok(session)
            }
            Err(error) => {
                core.retirement
                    .retire(&session(ttl), RetireReason::WrongAnswer);
                Err(error)
            }
        }
    }
}
