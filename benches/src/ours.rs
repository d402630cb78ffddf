//! `sipher-session` with one live session, or with many.

use sipher_session::{
    Chain, ForeignIds, SessionDefaults, SessionLayer, SessionManager, SessionManagerBuilder,
    SessionService, api::Transport,
};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service};

use crate::{
    request::{self, OURS, Sink},
    stub::StubSipher,
};

pub const KEY: &str = "sk_ent_0123456789abcdef0123456789abcdef";
const TTL: u64 = 24 * 60 * 60;

/// A manager, and the runtime of its background tasks.
pub struct World {
    pub runtime: Runtime,
    pub stub: StubSipher,
    pub manager: SessionManager,
}

pub fn builder(stub: &StubSipher) -> SessionManagerBuilder {
    SessionManager::builder()
        .api_key(KEY)
        .defaults(SessionDefaults::new().chain(Chain::Near))
        .ttl(std::time::Duration::from_secs(TTL))
        .foreign_ids(ForeignIds::Keep)
        .max_sessions(1_000_000)
        .call_budget(60_000_000, 2_000_000)
        .transport(Transport::new(stub.clone()))
}

/// A manager with a live session of the configured key.
impl Default for World {
    fn default() -> Self {
        Self::with(builder)
    }
}

impl World {
    /// A manager with these settings.
    pub fn with(settings: impl FnOnce(&StubSipher) -> SessionManagerBuilder) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let stub = StubSipher::new(TTL);
        let manager = settings(&stub).build().expect("good settings");
        runtime.block_on(manager.session()).expect("a session");
        Self {
            runtime,
            stub,
            manager,
        }
    }

    /// A manager that also has a live session for each of these keys.
    pub fn with_keys(keys: &[String]) -> Self {
        let world = Self::default();
        world.runtime.block_on(async {
            for key in keys {
                let request = request::call_with_key(OURS, key);
                assert!(world.service().call(request).await.is_ok());
                request::take_back(drop);
            }
        });
        world
    }

    pub fn service(&self) -> SessionService<Sink> {
        SessionLayer::new(self.manager.clone()).layer(Sink)
    }
}
