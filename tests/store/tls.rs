//! A server with TLS, whose certificate is trusted only by a process that this test starts.
#![cfg(feature = "rustls")]

use std::{
    env, fs,
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
};

use sipher_session::store::{RedisStore, SessionStore};

use crate::{
    server::{Server, skip},
    subject::slot,
};

const PORT: &str = "STORE_TLS_PORT";

#[test]
fn a_server_that_speaks_tls_is_spoken_to_if_its_certificate_is_trusted() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = |name| folder.join(name).to_str().unwrap().to_owned();
    let (key, certificate) = (file("key.pem"), file("certificate.pem"));
    if !make_certificate(&key, &certificate) {
        return skip("openssl");
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
    let port = port.unwrap().port().to_string();
    let Some(_server) = Server::with(&[
        "--tls-port",
        &port,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &certificate,
        "--tls-auth-clients",
        "no",
        "--save",
        "",
    ]) else {
        return;
    };
    for (trusted, works) in [(Some(&certificate), true), (None, false)] {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "tls::child", "--ignored"]);
        child
            .env(PORT, &port)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // The system's trusted certificates are read from this file.
        child.env("SSL_CERT_FILE", trusted.map_or("/dev/null", String::as_str));
        assert_eq!(child.status().unwrap().success(), works, "{trusted:?}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
#[ignore = "run by the one above, in a process of its own"]
async fn child() {
    let url = format!("rediss://localhost:{}", env::var(PORT).unwrap());
    let store = RedisStore::connect(&url).unwrap();
    store.get(slot()).await.unwrap();
}

/// Creates a self-signed certificate that is no authority.
fn make_certificate(key: &str, certificate: &str) -> bool {
    let mut command = Command::new("openssl");
    command.args([
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
    ]);
    command.args([
        "-keyout",
        key,
        "-out",
        certificate,
        "-subj",
        "/CN=localhost",
    ]);
    command.args(["-addext", "subjectAltName=DNS:localhost"]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
