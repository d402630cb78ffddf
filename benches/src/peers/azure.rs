//! azure_core's bearer token policy. It is a pipeline of boxed policies with a context, looks for a challenge in the
//! answer, and has its own request and response types. The time of the terminal policy's answer is included.

use std::sync::Arc;

use azure_core::{
    Result,
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    http::{
        AsyncRawResponse, Context, Method, Request, StatusCode, Url,
        headers::Headers,
        policies::{Policy, PolicyResult, auth::BearerTokenAuthorizationPolicy},
    },
    time::{Duration, OffsetDateTime},
};

use super::RUNTIME;
use crate::{
    lane::{BATCH, Lane, finish},
    request::OURS,
};

#[derive(Debug)]
struct Mints;

#[async_trait::async_trait]
impl TokenCredential for Mints {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> Result<AccessToken> {
        let token = "0123456789abcdef".repeat(4);
        Ok(AccessToken::new(
            token,
            OffsetDateTime::now_utc() + Duration::days(1),
        ))
    }
}

#[derive(Debug)]
struct Answers;

#[async_trait::async_trait]
impl Policy for Answers {
    async fn send(&self, _: &Context, _: &mut Request, _: &[Arc<dyn Policy>]) -> PolicyResult {
        Ok(AsyncRawResponse::from_bytes(
            StatusCode::Ok,
            Headers::new(),
            Vec::new(),
        ))
    }
}

struct Pipeline {
    policy: BearerTokenAuthorizationPolicy,
    next: [Arc<dyn Policy>; 1],
    requests: Vec<Request>,
}

impl Pipeline {
    fn send(&mut self, i: usize) -> impl Future<Output = bool> {
        let (policy, next) = (&self.policy, &self.next);
        let request = &mut self.requests[i];
        async move { policy.send(&Context::new(), request, next).await.is_ok() }
    }
}

impl Lane for Pipeline {
    fn run(&mut self) {
        for i in 0..BATCH {
            assert!(finish(self.send(i)));
        }
    }

    /// The header cannot be removed. It is overwritten.
    fn reset(&mut self) {}
}

pub(super) fn lane() -> Box<dyn Lane> {
    let url = Url::parse(OURS).expect("a URL");
    let request = || Request::new(url.clone(), Method::Post);
    let mut pipeline = Pipeline {
        policy: BearerTokenAuthorizationPolicy::new(Arc::new(Mints), ["scope"]),
        next: [Arc::new(Answers)],
        requests: (0..BATCH).map(|_| request()).collect(),
    };
    assert!(RUNTIME.block_on(pipeline.send(0)));
    Box::new(pipeline)
}
