//! A caller can tell whether an error is this crate's or the inner service's.

use std::{error::Error, fmt, future::ready, io};

use http::Response;
use sipher_session::{
    BoxError, ErrorKind, SessionLayer,
    testing::{Fault, Target, What},
};
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;

use crate::{
    begin, miss_and_hit,
    support::{Call, Setup, generate, ours},
    warm,
};

#[derive(Debug, PartialEq)]
struct Broken(u8);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl Error for Broken {}

#[tokio::test(start_paused = true)]
async fn the_inner_services_own_error_comes_out_whole() {
    let setup = Setup::new();
    for layer in miss_and_hit(&setup).await {
        let inner = service_fn(|_: Call| ready(Err::<Response<()>, _>(Broken(7))));
        let error = layer.layer(inner).oneshot(generate()).await.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Broken(7)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_boxed_inner_error_is_not_boxed_again() {
    let setup = Setup::new();
    for layer in miss_and_hit(&setup).await {
        let inner = service_fn(|_: Call| ready(Err::<Response<()>, BoxError>(Broken(8).into())));
        let error = layer.layer(inner).oneshot(generate()).await.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Broken(8)));
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_while_getting_ready_passes_and_costs_no_session() {
    let setup = Setup::new();
    let (inner, mut handle) = mock::pair::<Call, Response<()>>();
    handle.send_error(io::Error::other("gone"));
    let mut service = SessionLayer::new(setup.manager()).layer(inner);
    let error = service.ready().await.err().unwrap();
    // The mock wraps its errors in an error of its own.
    let cause = error
        .source()
        .map_or(error.to_string(), ToString::to_string);
    assert!(cause.contains("gone"), "{error:?}");
    assert_eq!(setup.sipher.session_calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_this_crate_is_one_level_with_the_cause_below() {
    let setup = Setup::new();
    let service = setup.service(&setup.manager());
    let html = Fault::new(What::Html(201)).on(Target::Create);
    setup.sipher.fault(html);
    let error = service.oneshot(generate()).await.unwrap_err();
    assert_eq!(ours(&error).kind(), ErrorKind::WrongAddress);
    let cause = error.source().unwrap();
    assert!(!error.to_string().contains(&cause.to_string()), "{error}");
}

/// After an error, the inner service is used as before.
#[tokio::test(start_paused = true)]
async fn a_failed_call_takes_nothing_with_it() {
    let setup = Setup::new();
    let manager = warm(&setup).await;
    let mut service = setup.service(&manager);
    let mut malformed = generate();
    malformed
        .headers_mut()
        .insert("x-session-id", "nope".parse().unwrap());
    let refused = begin(&mut service, malformed).await.await;
    assert_eq!(
        ours(&refused.unwrap_err()).kind(),
        ErrorKind::InvalidRequest
    );
    begin(&mut service, generate()).await.await.unwrap();
    assert_eq!(setup.last_chain().as_deref(), Some("near"));
}
