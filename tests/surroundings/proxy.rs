//! A proxy that the environment names.

use std::{io::ErrorKind, net::TcpListener};

use sipher_session::{
    SessionManager,
    testing::{FakeSipher, Tier},
};

use crate::run_with;

#[test]
fn session_calls_to_loopback_go_through_no_proxy() {
    let proxy = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        run_with(&[(variable, &url)], "proxy::sessions_on_loopback");
        let seen = proxy.accept();
        assert_eq!(
            seen.unwrap_err().kind(),
            ErrorKind::WouldBlock,
            "{variable}"
        );
    }
}

/// Shows that the proxy is used otherwise, so the test above can fail.
#[test]
fn session_calls_elsewhere_go_through_the_proxy() {
    let proxy = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    run_with(&[("HTTP_PROXY", &url)], "proxy::a_session_elsewhere");
    proxy.set_nonblocking(true).unwrap();
    assert!(proxy.accept().is_ok());
}

#[tokio::test]
#[ignore = "run by session_calls_to_loopback_go_through_no_proxy"]
async fn sessions_on_loopback() {
    let sipher = FakeSipher::new();
    let served = sipher.serve().await.unwrap();
    let port = served.addr().port();
    for host in ["127.0.0.1", "localhost"] {
        let sessions = SessionManager::builder()
            .api_key(sipher.api_key(Tier::Pro))
            .base_url(format!("http://{host}:{port}"))
            .build()
            .unwrap();
        sessions.session().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "run by session_calls_elsewhere_go_through_the_proxy"]
async fn a_session_elsewhere() {
    let sessions = SessionManager::builder()
        .api_key("sk_pro_1234")
        .base_url("http://sipher.invalid")
        .allow_plain_http()
        .create_timeout(std::time::Duration::from_millis(500))
        .build()
        .unwrap();
    // The test's proxy accepts the connection, and does not answer.
    assert!(sessions.session().await.is_err());
}
