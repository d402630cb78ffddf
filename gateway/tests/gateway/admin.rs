//! The admin port, and what it must not show.

use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use crate::support::{Site, get, raw, site, status};

async fn status_json(site: &Site) -> Value {
    let answer = get(site.gateway.admin, "/status.json").await;
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

/// Events arrive after the call, so the status follows.
async fn once(site: &Site, holds: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..1000 {
        let status = status_json(site).await;
        if holds(&status) {
            return status;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{}", status_json(site).await);
}

#[tokio::test]
async fn the_status_shows_a_sessions_life_and_nothing_secret() {
    let site = site().await;
    assert_eq!(status(&site.generate("").await), 200);
    let shown = once(&site, |status| status["sessions"][0].is_object()).await;
    let session = &shown["sessions"][0];
    assert_eq!(
        (session["chain"].as_str(), session["state"].as_str()),
        (Some("near"), Some("live"))
    );
    let life =
        session["usable_until_ms"].as_u64().unwrap() - session["created_at_ms"].as_u64().unwrap();
    assert!((3_500_000..=3_600_000).contains(&life), "{life}");
    assert_eq!(shown["upstream"], site.server.base_url());
    assert_eq!(
        (&shown["ready"], &shown["stats"]["live_sessions"]),
        (&true.into(), &1.into())
    );
    assert_eq!(shown["events"][0]["name"], "created");
    for name in ["started_at_ms", "now_ms", "held_back", "server_down_for_ms"] {
        assert!(shown.get(name).is_some(), "{name}");
    }
    let id = site.sipher.live_session_ids().remove(0);
    for path in ["/", "/status.json", "/metrics", "/readyz", "/healthz"] {
        let answer = get(site.gateway.admin, path).await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(
            !answer.contains(&site.key) && !answer.contains(&id),
            "{path}: {answer}"
        );
    }

    let generation = session["generation"].as_u64().unwrap();
    assert!(site.sessions.invalidate(generation));
    once(&site, |status| {
        status["sessions"].as_array().is_some_and(Vec::is_empty)
    })
    .await;
    let shown = once(&site, |status| status["events"][0]["name"] == "deleted").await;
    assert_eq!(shown["events"][1]["name"], "retired");
}

#[tokio::test]
async fn ready_follows_the_manager_and_healthy_does_not() {
    let site = site().await;
    assert_eq!(status(&get(site.gateway.admin, "/readyz").await), 200);
    site.sessions.shutdown(Duration::from_secs(1)).await;
    let answer = get(site.gateway.admin, "/readyz").await;
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("shut down"), "{answer}");
    assert_eq!(status(&get(site.gateway.admin, "/healthz").await), 200);
}

#[tokio::test]
async fn an_outage_is_shown() {
    let mut site = site().await;
    site.server.close().await.unwrap();
    assert_eq!(status(&site.generate("").await), 503);
    let answer = get(site.gateway.admin, "/readyz").await;
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.contains("cannot be reached"), "{answer}");
    let shown = status_json(&site).await;
    assert_eq!(shown["ready"], false);
    assert!(shown["server_down_for_ms"].is_u64(), "{shown}");
}

#[tokio::test]
async fn a_web_page_elsewhere_cannot_read_the_status() {
    let site = site().await;
    for (host, expected) in [
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost:8902", 200),
        ("127.0.0.1", 200),
        ("[::1]:1", 200),
    ] {
        let request =
            format!("GET /status.json HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        assert_eq!(
            status(&raw(site.gateway.admin, request).await),
            expected,
            "{host}"
        );
    }
    let post = "POST /status.json HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    assert_eq!(status(&raw(site.gateway.admin, post).await), 405);
    assert_eq!(status(&get(site.gateway.admin, "/other").await), 404);
}
