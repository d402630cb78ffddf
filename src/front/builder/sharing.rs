//! Sessions that several processes share.

use std::{sync::Arc, time::Duration};

use super::SessionManagerBuilder;
use crate::{driver::fleet::derive, model::settings::OnStoreDown, store::SessionStore};

impl SessionManagerBuilder {
    /// Shares sessions with the other processes of a fleet, through a store that all of them use. Defaults to none: every process has
    /// sessions of its own.
    ///
    /// One process makes a session and the others take it up, so the fleet makes as many session calls as one process alone. The
    /// processes have to agree on API key, base URL, defaults and [`member_lease`](Self::member_lease); all else may differ. See the module
    /// [`store`](crate::store).
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    pub fn store(mut self, store: impl SessionStore) -> Self {
        self.store = Some((Arc::new(store), derive));
        self
    }

    /// Sets what happens when no session is at hand and the store cannot be reached. Defaults to
    /// [`OnStoreDown::OwnSession`].
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    pub fn on_store_down(mut self, policy: OnStoreDown) -> Self {
        self.on_store_down = policy;
        self
    }

    /// Sets how long a process goes on with a shared session while it cannot reach the store. Defaults to 5 minutes; 30 s at
    /// least. All processes of a fleet have to agree on it.
    ///
    /// It goes on for this time less `hard`, and for half of it at least. A process tells the store four times in that time,
    /// and each 10 s at least, which sessions it uses. A longer lease bridges longer outages of the store; a shorter one ends
    /// sooner the use of a session that was invalidated meanwhile.
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    pub fn member_lease(mut self, lease: Duration) -> Self {
        self.member_lease = lease;
        self
    }

    /// Has the server asked about each session that another process has made, before it is used. Off by default.
    ///
    /// Somebody who can write to the store can bring back an older record. A process that has seen no newer one takes it up. This
    /// setting finds out, at the price of one session call for each process and session.
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    pub fn verify_adopted(mut self) -> Self {
        self.verify_adopted = true;
        self
    }

    /// Takes [`verify_adopted`](Self::verify_adopted) back, such as where a file set it.
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    pub fn trust_adopted(mut self) -> Self {
        self.verify_adopted = false;
        self
    }
}
