//! One process's connection to a store. It can be cut or slow, or lose answers.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sipher_session::{
    BoxError,
    store::{
        Changes, Claim, Found, Kept, Left, Member, MemoryStore, Record, SessionStore, Slot,
        StoreFuture,
    },
};

#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // each is a separate kind of trouble
pub struct Trouble {
    pub is_cut: bool,
    pub panics: Panics,
    /// The store carries out each step, but its answer is lost.
    pub loses_answers: bool,
    pub delay: Duration,
    /// The answer to a claim takes this long.
    pub answers_claims_after: Duration,
    /// The answer to the report that a session is in use takes this long.
    pub answers_keeps_after: Duration,
    /// The store announces nothing, so processes must look.
    pub is_mute: bool,
    /// The store answers reads and nothing else.
    pub is_read_only: bool,
    /// The store accepts no publication.
    pub refuses: bool,
    /// A step that is on its way arrives, even if nobody waits for it any more.
    pub is_late: bool,
    /// Only the slots of one half are in trouble.
    pub half: Option<u8>,
}

/// Where each step panics.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Panics {
    #[default]
    Nowhere,
    InTheCall,
    Later,
}

impl Trouble {
    fn of(self, slot: Slot) -> Self {
        let number = slot.to_string().bytes().fold(0, u8::wrapping_add) % 2;
        match self.half {
            Some(half) if half != number => Self::default(),
            _ => self,
        }
    }
}

/// Changes a record before it is read, as an attacker would.
pub type Meddler = Box<dyn Fn(Slot, Record) -> Record + Send + Sync>;

/// All records that any process published.
pub type Published = Arc<Mutex<Vec<(Slot, Record)>>>;

/// The store's grants of the right to publish, in order.
pub type Grants = Arc<Mutex<Vec<Said>>>;

#[derive(Clone, Copy, Debug)]
pub enum Said {
    Granted(Slot, Member, u64),
    Accepted(Slot, Member, u64),
    /// The store has forgotten everything.
    Flushed,
}

#[derive(Clone)]
pub struct Flaky {
    store: MemoryStore,
    published: Published,
    grants: Grants,
    meddler: Arc<Mutex<Option<Meddler>>>,
    trouble: Arc<Mutex<Trouble>>,
    /// Trouble of single slots. It replaces the general one.
    at: Arc<Mutex<HashMap<Slot, Trouble>>>,
    keeps: Arc<AtomicUsize>,
    claims: Arc<AtomicUsize>,
    gets: Arc<AtomicUsize>,
}

impl Flaky {
    pub fn new(store: MemoryStore, published: Published) -> Self {
        Self {
            store,
            published,
            grants: Grants::default(),
            meddler: Arc::default(),
            trouble: Arc::default(),
            at: Arc::default(),
            keeps: Arc::default(),
            claims: Arc::default(),
            gets: Arc::default(),
        }
    }

    pub fn with_grants(self, grants: Grants) -> Self {
        Self { grants, ..self }
    }

    pub fn set(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }

    /// Sets the trouble of one slot alone, as if that slot were on a machine of its own.
    pub fn set_at(&self, slot: Slot, trouble: Trouble) {
        self.at.lock().unwrap().insert(slot, trouble);
    }

    /// How often a process claimed the right to create a session.
    pub fn claims(&self) -> usize {
        self.claims.load(Ordering::SeqCst)
    }

    fn trouble_at(&self, slot: Slot) -> Trouble {
        let at = self.at.lock().unwrap().get(&slot).copied();
        at.unwrap_or_else(|| self.trouble.lock().unwrap().of(slot))
    }

    /// From here on, `meddler` changes every record that is read.
    pub fn meddle(&self, meddler: impl Fn(Slot, Record) -> Record + Send + Sync + 'static) {
        *self.meddler.lock().unwrap() = Some(Box::new(meddler));
    }

    fn read(&self, slot: Slot, found: Found) -> Found {
        let meddler = self.meddler.lock().unwrap();
        let record = found.record.map(|record| match &*meddler {
            Some(meddler) => meddler(slot, record),
            None => record,
        });
        Found { record, ..found }
    }

    /// How often a slot was read.
    pub fn gets(&self) -> usize {
        self.gets.load(Ordering::SeqCst)
    }

    pub fn cut(&self) {
        self.set(Trouble {
            is_cut: true,
            ..Trouble::default()
        });
    }

    pub fn mend(&self) {
        self.set(Trouble::default());
    }

    /// How often a process reported that it uses a session.
    pub fn keeps(&self) -> usize {
        self.keeps.load(Ordering::SeqCst)
    }

    fn say(&self, said: Said) {
        self.grants.lock().unwrap().push(said);
    }

    fn pass<T: Send + 'static>(
        &self,
        slot: Slot,
        step: impl for<'a> FnOnce(&'a Self) -> StoreFuture<'a, T> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        self.pass_in(self.trouble_at(slot), step)
    }

    fn pass_in<T: Send + 'static>(
        &self,
        trouble: Trouble,
        step: impl for<'a> FnOnce(&'a Self) -> StoreFuture<'a, T> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        let this = self.clone();
        assert_ne!(trouble.panics, Panics::InTheCall);
        let travel = async move {
            tokio::time::sleep(trouble.delay).await;
            assert_ne!(trouble.panics, Panics::Later);
            if trouble.is_cut || trouble.is_read_only {
                return Err(BoxError::from("cut"));
            }
            let done = step(&this).await;
            if trouble.loses_answers {
                return Err(BoxError::from("lost"));
            }
            done
        };
        if trouble.is_late {
            let travel = tokio::spawn(travel);
            return Box::pin(async move { travel.await? });
        }
        Box::pin(travel)
    }
}

impl std::fmt::Debug for Flaky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flaky").finish_non_exhaustive()
    }
}

impl SessionStore for Flaky {
    fn get(&self, slot: Slot) -> StoreFuture<'_, Found> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        let trouble = Trouble {
            is_read_only: false,
            ..self.trouble_at(slot)
        };
        self.pass_in(trouble, move |this| {
            Box::pin(async move { Ok(this.read(slot, this.store.get(slot).await?)) })
        })
    }

    fn claim(
        &self,
        slot: Slot,
        member: Member,
        after: u64,
        lease: Duration,
    ) -> StoreFuture<'_, Claim> {
        self.claims.fetch_add(1, Ordering::SeqCst);
        let answer_takes = self.trouble_at(slot).answers_claims_after;
        self.pass(slot, move |this| {
            Box::pin(async move {
                let claim = this.store.claim(slot, member, after, lease).await?;
                tokio::time::sleep(answer_takes).await;
                if let Claim::Granted { generation, .. } = claim {
                    this.say(Said::Granted(slot, member, generation));
                }
                Ok(match claim {
                    Claim::Published(found) => Claim::Published(this.read(slot, found)),
                    claim => claim,
                })
            })
        })
    }

    fn publish(
        &self,
        slot: Slot,
        member: Member,
        record: Record,
        lease: Duration,
    ) -> StoreFuture<'_, bool> {
        self.published.lock().unwrap().push((slot, record.clone()));
        let trouble = self.trouble_at(slot);
        self.pass(slot, move |this| {
            Box::pin(async move {
                if trouble.refuses {
                    return Ok(false);
                }
                let generation = record.generation;
                let is_accepted = this.store.publish(slot, member, record, lease).await?;
                if is_accepted {
                    this.say(Said::Accepted(slot, member, generation));
                }
                Ok(is_accepted)
            })
        })
    }

    fn release(
        &self,
        slot: Slot,
        member: Member,
        generation: u64,
        pause: Duration,
    ) -> StoreFuture<'_, ()> {
        self.pass(slot, move |this| {
            this.store.release(slot, member, generation, pause)
        })
    }

    fn keep(
        &self,
        slot: Slot,
        member: Member,
        record: Record,
        lease: Duration,
    ) -> StoreFuture<'_, Kept> {
        self.keeps.fetch_add(1, Ordering::SeqCst);
        let answer_takes = self.trouble_at(slot).answers_keeps_after;
        self.pass(slot, move |this| {
            Box::pin(async move {
                let kept = this.store.keep(slot, member, record, lease).await?;
                tokio::time::sleep(answer_takes).await;
                Ok(match kept {
                    Kept::Newer(found) => Kept::Newer(this.read(slot, found)),
                    kept => kept,
                })
            })
        })
    }

    fn leave(&self, slot: Slot, member: Member, generation: u64) -> StoreFuture<'_, Left> {
        self.pass(slot, move |this| this.store.leave(slot, member, generation))
    }

    fn revoke(&self, slot: Slot, generation: u64) -> StoreFuture<'_, ()> {
        self.pass(slot, move |this| this.store.revoke(slot, generation))
    }

    fn changes(&self) -> Changes {
        if self.trouble.lock().unwrap().is_mute {
            return sipher_session::store::Announcer::new().subscribe();
        }
        self.store.changes()
    }
}
