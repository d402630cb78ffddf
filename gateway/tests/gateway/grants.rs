//! The gateway grants nobody anything.

use sipher_session::testing::{FakeSipher, SessionUse, Tier};
use sipher_session_gateway::{Gateway, Token};

use crate::support::{builder, code, manager, raw, run, status};

const TOKEN: &str = "8f1c2b6e90d74a35";

async fn ask(addr: std::net::SocketAddr, method: &str, path: &str, headers: &str) -> String {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\
         connection: close\r\n{headers}\r\n{{}}"
    );
    raw(addr, request).await
}

/// The manager has a key. No setting lends it to callers.
#[tokio::test]
async fn the_managers_key_is_lent_to_nobody() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let server = sipher.serve().await.unwrap();
    let sessions = manager(&server.base_url())
        .api_key(key.as_str())
        .build()
        .unwrap();
    let gateway = run(builder(&sessions));
    for headers in [
        "",
        "x-api-key: \r\n",
        "authorization: Bearer \r\n",
        "authorization: Basic eDp5\r\n",
        "x-api-key: mine\r\nconnection: x-api-key\r\n",
    ] {
        for (method, path) in [
            ("POST", "/v1/stealth/generate"),
            ("POST", "/V1/Stealth/Generate/"),
            ("POST", "/v1/sessions"),
            ("GET", "/v1/billing/usage"),
        ] {
            let answer = ask(gateway.addr, method, path, headers).await;
            assert!(
                [400, 401].contains(&status(&answer)),
                "{headers}{path}: {answer}"
            );
        }
    }
    let log = sipher.log();
    let spent = log
        .iter()
        .filter(|exchange| exchange.key.is_some() && exchange.session != SessionUse::None);
    assert_eq!(spent.count(), 0, "{log:?}");
    let calls = log
        .iter()
        .filter(|exchange| exchange.path != "/v1/sessions" && exchange.path != "/v1/health");
    assert_eq!(calls.count(), 0, "{log:?}");
    // A caller with a key of its own is served.
    let own = sipher.api_key(Tier::Pro);
    let answer = ask(
        gateway.addr,
        "POST",
        "/v1/stealth/generate",
        &format!("x-api-key: {own}\r\n"),
    )
    .await;
    assert_eq!(status(&answer), 200);
}

#[tokio::test]
async fn whoever_shows_the_token_gets_the_key() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let server = sipher.serve().await.unwrap();
    let sessions = manager(&server.base_url())
        .api_key(key.as_str())
        .build()
        .unwrap();
    let lends = builder(&sessions)
        .add_api_key()
        .token(Token::new(TOKEN).unwrap());
    let gateway = run(lends);
    for headers in [
        String::new(),
        "x-gateway-token: 8f1c2b6e90d74a36\r\n".to_owned(),
        "x-gateway-token: 8f1c2b6e90d74a3\r\n".to_owned(),
        format!("x-gateway-token: {TOKEN}{TOKEN}\r\n"),
        format!("x-gateway-token: {TOKEN}\r\nx-gateway-token: {TOKEN}\r\n"),
        format!("x-gateway-token: {TOKEN}\r\nconnection: x-gateway-token\r\n"),
        format!("x-api-key: {key}\r\n"),
    ] {
        let answer = ask(gateway.addr, "POST", "/v1/stealth/generate", &headers).await;
        assert_eq!(
            (status(&answer), code(&answer).as_str()),
            (401, "GATEWAY_TOKEN_REQUIRED"),
            "{headers}"
        );
        assert!(!answer.contains(TOKEN));
    }
    assert_eq!(sipher.log().len(), 0);
    let answer = ask(
        gateway.addr,
        "POST",
        "/v1/stealth/generate",
        &format!("x-gateway-token: {TOKEN}\r\n"),
    )
    .await;
    assert_eq!(status(&answer), 200, "{answer}");
    sipher.assert_every_call_had_a_session();
}

#[tokio::test]
async fn the_token_never_reaches_sipher() {
    let mut server = crate::support::recorder("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let sessions = manager(&server.base_url).build().unwrap();
    for builder in [
        builder(&sessions),
        builder(&sessions).token(Token::new(TOKEN).unwrap()),
    ] {
        let gateway = run(builder);
        let answer = ask(
            gateway.addr,
            "POST",
            "/v1/health",
            &format!("X-Gateway-Token: {TOKEN}\r\n"),
        )
        .await;
        assert_eq!(status(&answer), 200, "{answer}");
        let head = server.heads.recv().await.unwrap();
        assert!(
            !head.to_lowercase().contains("gateway-token") && !head.contains(TOKEN),
            "{head}"
        );
    }
}

#[tokio::test]
async fn other_machines_are_kept_out_unless_it_is_said() {
    let sessions = manager("http://127.0.0.1:1").build().unwrap();
    let all = "0.0.0.0:0".parse().unwrap();
    let error = Gateway::builder(sessions.clone())
        .listen(all)
        .build()
        .unwrap_err();
    assert_eq!(error.setting(), "gateway.listen");
    assert!(
        error.to_string().contains("gateway.allow_remote = true"),
        "{error}"
    );
    let error = builder(&sessions).admin(all).build().unwrap_err();
    assert_eq!(error.setting(), "gateway.admin");
    assert!(
        Gateway::builder(sessions.clone())
            .listen(all)
            .allow_remote()
            .build()
            .is_ok()
    );
    let error = builder(&sessions).add_api_key().build().unwrap_err();
    assert_eq!(error.setting(), "gateway.add_api_key");
}
