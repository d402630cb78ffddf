//! kube-client's `AuthLayer` with a token from a file. It also supports commands and OAuth, reads the clock, and
//! creates the header value anew for each request.

use std::{env, fs, process, sync::LazyLock};

use http::header::AUTHORIZATION;
use kube_client::{
    Config,
    client::{ConfigExt, middleware::AuthLayer},
};
use sipher_session::BoxError;
use tower::{Layer, ServiceExt};

use super::RUNTIME;
use crate::{
    lane::{BATCH, Calls, Lane},
    request::{OURS, Sink, call},
};

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let path = env::temp_dir().join(format!("sipher-session-benches-{}", process::id()));
    fs::write(&path, "0123456789abcdef".repeat(4)).expect("a file");
    let mut config = Config::new("https://127.0.0.1".parse().expect("a URL"));
    config.auth_info.token_file = Some(path.display().to_string());
    config
});

fn layer() -> AuthLayer {
    CONFIG.auth_layer().expect("a token").expect("a layer")
}

pub(super) fn lane() -> Box<dyn Lane> {
    let _runtime = RUNTIME.enter();
    let service = layer().layer(Sink.map_err(BoxError::from));
    let requests = (0..BATCH).map(|_| call(OURS));
    Box::new(Calls::new(service, requests, vec![AUTHORIZATION]))
}
