//! The actions of the handle's owner.

use std::time::Duration;

use sipher_session::{
    Error, SessionManager,
    testing::{Fault, Target, What},
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{
    script::{self, Deed, Hand},
    trace::{Entry, Partition},
    wire::BY_HAND,
    world::{World, value},
};

impl World {
    /// Carries out the owner's actions, one after another.
    pub(crate) async fn own(
        self,
        manager: SessionManager,
        hand: Vec<(Duration, Hand)>,
        start: Instant,
    ) {
        for (
            at,
            Hand {
                deed,
                gives_up_after,
            },
        ) in hand
        {
            sleep_until(start + at).await;
            self.trace().add(Entry::Hand(format!("{deed:?}")));
            let done = timeout(gives_up_after, self.deed(&manager, &deed)).await;
            let done = match done {
                Err(_) => "gave up".to_owned(),
                Ok(done) => done.map_or_else(|e| format!("{:?}", e.kind()), |()| "done".to_owned()),
            };
            self.desk().pending = None;
            self.trace().add(Entry::Hand(format!("{deed:?}: {done}")));
        }
    }

    async fn deed(&self, manager: &SessionManager, deed: &Deed) -> Result<(), Error> {
        let (key, defaults) = {
            let desk = self.desk();
            (desk.key, desk.defaults.clone())
        };
        match deed {
            Deed::Update(which) => {
                let patch = script::defaults(*which);
                self.desk().pending = Some((key, defaults.merged_with(&patch)));
                manager.update_defaults(patch).await?;
                self.changed();
            }
            Deed::Replace(which) => {
                let defaults = script::defaults(*which);
                self.desk().pending = Some((key, defaults.clone()));
                manager.replace_defaults(defaults).await?;
                self.changed();
            }
            Deed::SetKey(key) => {
                self.desk().pending = Some((*key, defaults));
                manager.set_api_key(self.wire.keys[*key].as_str()).await?;
                self.changed();
            }
            Deed::Invalidate(later) => {
                let session = manager.session().await?;
                sleep(*later).await;
                let held = manager.invalidate(session.generation());
                let id = session.id().as_str().to_owned();
                self.trace().add(Entry::Invalidated { id, held });
            }
            Deed::InvalidateInRenewal(later) => {
                let session = manager.session().await?;
                sleep(session.renewal_in() + Duration::from_millis(1)).await;
                let slow = Fault::new(What::DelayAnswer(*later * 2)).on(Target::Create);
                self.wire.sipher.fault(slow);
                // Starts the renewal, and does not wait for it.
                manager.session().await?;
                sleep(*later).await;
                let held = manager.invalidate(session.generation());
                let id = session.id().as_str().to_owned();
                self.trace().add(Entry::Invalidated { id, held });
            }
            Deed::Delete => {
                let session = manager.session().await?;
                let id = session.id().as_str().to_owned();
                self.trace().add(Entry::ChangedByHand { id });
                let api = manager.api();
                BY_HAND.scope((), api.delete_session(session.id())).await?;
            }
            Deed::Patch(which) => {
                let session = manager.session().await?;
                let id = session.id().as_str().to_owned();
                self.trace().add(Entry::ChangedByHand { id });
                let api = manager.api();
                let defaults = script::defaults(*which);
                let patch = api.update_session(session.id(), &defaults);
                BY_HAND.scope((), patch).await?;
            }
            Deed::Warm => drop(manager.session().await?),
        }
        Ok(())
    }

    fn changed(&self) {
        let mut desk = self.desk();
        let Some((key, defaults)) = desk.pending.take() else {
            return;
        };
        let from = Partition {
            key: desk.key,
            defaults: value(&desk.defaults),
        };
        let to = Partition {
            key,
            defaults: value(&defaults),
        };
        (desk.key, desk.defaults) = (key, defaults);
        self.trace().add(Entry::Changed { from, to });
    }
}
