//! The program itself.

use std::{fs, path::PathBuf, process::Stdio};

use sipher_session::testing::{FakeSipher, Tier};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
};

use crate::support::{get, raw, status};

fn program() -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sipher-session-gateway"));
    program.env_clear().stdin(Stdio::null()).kill_on_drop(true);
    program
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path
}

async fn check(config: &str, name: &str, variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let config = file(name, config);
    let mut program = program();
    let program = program.arg("--check").arg("--config").arg(config);
    let output = program
        .envs(variables.iter().copied())
        .output()
        .await
        .unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[tokio::test]
async fn check_says_everything_that_is_wrong_at_once() {
    let config = "ttl = '3 parsecs'\ntime_to_live = '1h'\nmax_sessions = 'many'\n[defaults]\nchain = 'nera'\n\
                  privacy_level = 'loud'\n[gateway]\nlisten = '0.0.0.0:80'\nheader_timeout = 10\nlisen = 'x'\nmax_streams = -1\n";
    let variables = [
        ("SIPHER_CHIAN", "near"),
        ("SIPHER_MAX_WAIT", "long"),
        ("SIPHER_GATEWAY_MAX_CONNECTIONS", "few"),
        ("SIPHER_GATEWAY_MAX_CONNECTS", "5"),
        ("SIPHER_GATEWAY_TOKEN", "short"),
        ("SIPHER_GATEWAY_PORT_8901_TCP", "tcp://10.0.0.1:8901"),
    ];
    let (code, errors) = check(config, "wrong.toml", &variables).await;
    assert_eq!(code, Some(1), "{errors}");
    for expected in [
        "ttl: ",
        "time_to_live",
        "max_sessions: ",
        "defaults.chain: ",
        "defaults.privacy_level: ",
        "gateway.header_timeout: ",
        "gateway.lisen: ",
        "gateway.max_streams: ",
        "SIPHER_CHIAN: ",
        "SIPHER_MAX_WAIT",
        "SIPHER_GATEWAY_MAX_CONNECTIONS: ",
        "SIPHER_GATEWAY_MAX_CONNECTS: ",
        "gateway.token_file: the token has 5 characters",
    ] {
        assert!(errors.contains(expected), "{expected} is not in\n{errors}");
    }
    assert_eq!(errors.lines().count(), 13, "{errors}");
    assert!(
        errors.lines().all(|line| line.starts_with("error: ")),
        "{errors}"
    );
}

#[tokio::test]
async fn check_compares_settings_with_each_other() {
    let config = "without_sessions = true\n[gateway]\nlisten = '0.0.0.0:80'\nadmin = '0.0.0.0:80'\nmax_header_bytes = 10\n";
    let (code, errors) = check(
        config,
        "together.toml",
        &[("SIPHER_API_KEY", "sk_pro_secret")],
    )
    .await;
    assert_eq!(code, Some(1), "{errors}");
    for expected in [
        "without_sessions",
        "api_key: is set, and nobody would get it",
        "gateway.listen: is `0.0.0.0:80`",
        "gateway.admin: is `0.0.0.0:80`, which",
        "gateway.admin: is `0.0.0.0:80`, as gateway.listen",
        "gateway.max_header_bytes: is 10; expected 8192 at least",
    ] {
        assert!(errors.contains(expected), "{expected} is not in\n{errors}");
    }
    assert!(!errors.contains("sk_pro_secret"), "{errors}");
}

#[tokio::test]
async fn a_wrong_line_is_named_and_not_quoted() {
    let (code, errors) = check("ttl = '1h'\napi_key = sk_pro_secret\n", "line.toml", &[]).await;
    assert_eq!(code, Some(1));
    assert!(
        errors.contains("line 2: ") && !errors.contains("secret"),
        "{errors}"
    );
}

#[tokio::test]
async fn a_right_configuration_passes_and_opens_no_port() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!(
        "inline_defaults = 'always'\n[defaults]\nchain = 'near'\n[gateway]\nlisten = '{}'\nadmin = 'off'\nidle_timeout = '90s'\n",
        taken.local_addr().unwrap()
    );
    let (code, errors) = check(&config, "right.toml", &[("SIPHER_TTL", "30m")]).await;
    assert_eq!((code, errors.as_str()), (Some(0), ""));
}

/// From the start to SIGTERM: flags over variables over the file, logs without secrets, sessions deleted.
#[tokio::test]
async fn it_serves_until_sigterm_and_deletes_its_sessions() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let server = sipher.serve().await.unwrap();
    let config = file(
        "serve.toml",
        "[defaults]\nchain = 'sui'\n[gateway]\nlisten = '127.0.0.1:1'\nlog_format = 'text'\n",
    );
    let mut child = program()
        .arg("--config")
        .arg(config)
        .args([
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--log-format",
            "json",
        ])
        .env("SIPHER_BASE_URL", server.base_url())
        .env("SIPHER_CHAIN", "near")
        .env("SIPHER_GATEWAY_LISTEN", "127.0.0.1:2")
        .env("RUST_LOG", "debug")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut log = String::new();
    let (addr, admin) = loop {
        let line = lines.next_line().await.unwrap().unwrap();
        log += &line;
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let fields = &line["fields"];
        if fields["message"] == "serving" {
            let addr = |name: &str| fields[name].as_str().unwrap()[7..].parse().unwrap();
            break (addr("url"), addr("admin"));
        }
    };
    let reading = tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            log += &line;
        }
        log
    });
    let request = format!(
        "POST /v1/stealth/generate HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n\
         content-length: 2\r\nconnection: close\r\n\r\n{{}}"
    );
    let answer = raw(addr, request).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(answer.contains(r#""chain":"near""#), "{answer}");
    let id = sipher.live_session_ids().remove(0);
    let by_id = format!(
        "GET /v1/sessions/{id} HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(status(&raw(addr, by_id).await), 200);
    let metrics = get(admin, "/metrics").await;
    for line in [
        "sipher_gateway_requests_total{status=\"200\"} 2",
        "sipher_session_live_sessions 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }

    let pid = child.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    let ended = child.wait().await.unwrap();
    let log = reading.await.unwrap();
    assert_eq!(ended.code(), Some(0), "{log}");
    let mut report = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut report)
        .await
        .unwrap();
    assert!(
        report.starts_with("requests cut off: 0; sessions: 1 deleted"),
        "{report}"
    );
    assert_eq!(sipher.live_sessions(), 0);
    assert!(log.contains("stopped"));
    for secret in [&key, &id] {
        assert!(!log.contains(secret.as_str()), "{log}");
        assert!(!metrics.contains(secret.as_str()));
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let output = program()
        .args(["--listen", &taken, "--admin", "off"])
        .output()
        .await
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("gateway.listen: "), "{errors}");
}
