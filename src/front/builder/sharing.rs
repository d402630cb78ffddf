//! Settings of the builder: sessions that several processes share.

use std::{sync::Arc, time::Duration};

use super::SessionManagerBuilder;
use crate::{driver::fleet::derive, model::settings::OnStoreDown, store::SessionStore};

impl SessionManagerBuilder {
    /// Shares sessions with the other processes of a fleet, through a store that all of them use. Defaults to none:
    /// every process has sessions of its own. Set it if several processes use the same API key.
    ///
    /// One process creates a session and the others adopt it. So the fleet makes as many session calls as one process
    /// alone. The processes have to agree on API key, base URL, defaults and [`member_lease`](Self::member_lease). All
    /// other settings may differ. See the module [`store`](crate::store).
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    pub fn store(mut self, store: impl SessionStore) -> Self {
        self.store = Some((Arc::new(store), derive));
        self
    }

    /// Sets what happens when there is no session and the store cannot be reached. Defaults to
    /// [`OnStoreDown::OwnSession`].
    ///
    /// Change it to [`OnStoreDown::Fail`] if a session with older defaults is worse for you than a failed request.
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    pub fn on_store_down(mut self, policy: OnStoreDown) -> Self {
        self.on_store_down = policy;
        self
    }

    /// Sets how long a process goes on with a shared session while it cannot reach the store. Defaults to 5 minutes.
    /// The minimum is 30 s. All processes of a fleet have to use the same value.
    ///
    /// The process goes on for this time minus `hard` (5 to 60 s, depending on the `ttl`), and for half of this time at
    /// least. It tells the store which sessions it uses: four times within the lease, and every 10 s at least.
    ///
    /// Raise it to bridge longer outages of the store. Lower it so that, during an outage, a session that another
    /// process has invalidated is used for a shorter time.
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    pub fn member_lease(mut self, lease: Duration) -> Self {
        self.member_lease = lease;
        self
    }

    /// Checks each session of another process with the server before using it. Off by default.
    ///
    /// Somebody who can write to the store can put an older record back. A process that has seen no newer record would
    /// adopt it. Turn this setting on if you do not trust the store that far. It costs one session call for each
    /// process and session.
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    pub fn verify_adopted(mut self) -> Self {
        self.verify_adopted = true;
        self
    }

    /// Undoes [`verify_adopted`](Self::verify_adopted), for example when a configuration file has set it.
    #[cfg_attr(docsrs, doc(cfg(feature = "store")))]
    pub fn trust_adopted(mut self) -> Self {
        self.verify_adopted = false;
        self
    }
}
