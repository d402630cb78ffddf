//! A machine without root certificates, and a build without TLS.

use sipher_session::{
    ErrorKind, SessionManager,
    testing::{FakeSipher, Tier},
};

#[cfg(feature = "rustls")]
#[test]
fn a_machine_without_root_certificates_can_do_all_but_https() {
    let nowhere = [("SSL_CERT_FILE", "/no/such"), ("SSL_CERT_DIR", "/no/such")];
    crate::run_with(&nowhere, "certificates::without_root_certificates");
}

#[cfg(feature = "rustls")]
#[tokio::test]
#[ignore = "run by a_machine_without_root_certificates_can_do_all_but_https"]
async fn without_root_certificates() {
    session_over_http().await;
    let error = SessionManager::builder().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let told = error.to_string();
    assert!(told.starts_with("http_client: is not set, "), "{told}");
    assert!(
        told.contains("CA certificates") && told.contains("`ca-certificates`"),
        "{told}"
    );
}

#[cfg(not(feature = "rustls"))]
#[tokio::test]
async fn without_tls_an_https_base_is_refused_when_the_manager_is_built() {
    session_over_http().await;
    let error = SessionManager::builder().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let told = error.to_string();
    assert!(told.contains("the feature `rustls`"), "{told}");
    let own = SessionManager::builder().http_client(reqwest::Client::new());
    assert!(own.build().is_ok(), "it may have a TLS of its own");
}

async fn session_over_http() {
    let sipher = FakeSipher::new();
    let served = sipher.serve().await.unwrap();
    let sessions = SessionManager::builder()
        .api_key(sipher.api_key(Tier::Pro))
        .base_url(served.base_url())
        .build()
        .unwrap();
    sessions.session().await.unwrap();
}
