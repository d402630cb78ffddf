//! aws-smithy-runtime's lazy identity cache. It holds identities of any type for several resolvers, and reads the clock
//! for each. The signature with the identity is left out here.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use aws_smithy_async::{rt::sleep::TokioSleep, time::SystemTimeSource};
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime_api::client::{
    identity::{
        Identity, IdentityFuture, ResolveCachedIdentity, ResolveIdentity, SharedIdentityCache,
        SharedIdentityResolver,
    },
    runtime_components::{RuntimeComponents, RuntimeComponentsBuilder},
};
use aws_smithy_runtime_api::shared::IntoShared;
use aws_smithy_types::config_bag::ConfigBag;
use http::HeaderValue;

use super::{Inserts, RUNTIME};
use crate::{lane::Lane, request::session_id};

#[derive(Debug)]
struct Mints;

#[derive(Debug)]
struct Token(HeaderValue);

impl ResolveIdentity for Mints {
    fn resolve_identity<'a>(
        &'a self,
        _: &'a RuntimeComponents,
        _: &'a ConfigBag,
    ) -> IdentityFuture<'a> {
        let end = SystemTime::now() + Duration::from_secs(86_400);
        IdentityFuture::ready(Ok(Identity::new(Token(session_id()), Some(end))))
    }
}

struct Client {
    cache: SharedIdentityCache,
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    config: ConfigBag,
}

static CLIENT: LazyLock<Client> = LazyLock::new(|| {
    let components = RuntimeComponentsBuilder::for_tests()
        .with_time_source(Some(SystemTimeSource::new()))
        .with_sleep_impl(Some(TokioSleep::new()))
        .build()
        .expect("all that there must be");
    let client = Client {
        cache: IdentityCache::lazy().build().into_shared(),
        resolver: SharedIdentityResolver::new(Mints),
        components,
        config: ConfigBag::base(),
    };
    RUNTIME.block_on(value(&client));
    client
});

async fn value(client: &Client) -> HeaderValue {
    let identity = client
        .cache
        .resolve_cached_identity(client.resolver.clone(), &client.components, &client.config)
        .await
        .expect("an identity");
    let Token(value) = identity.data().expect("a token");
    value.clone()
}

pub(super) fn lane() -> Box<dyn Lane> {
    LazyLock::force(&CLIENT);
    Box::new(Inserts::new(|| value(&CLIENT)))
}
