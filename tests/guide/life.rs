//! Lives through a session's life, and compares it with the guide's table.

use std::{ops::RangeInclusive, time::Duration};

use http::Request;
use http_body_util::Full;
use sipher_session::{
    SessionLayer,
    api::Bytes,
    testing::{FakeSipher, Operation},
};
use tokio::time::sleep;
use tower::{Layer, ServiceExt};

const LIFE: &str = include_str!("../../src/guide/life.md");
const HOUR: u64 = 3_600;

/// Sends a request every `pace` seconds for `span` seconds. Returns how many sessions were created and deleted.
async fn under_traffic(ttl: u64, span: u64, pace: u64) -> (usize, usize) {
    let sipher = FakeSipher::new();
    let ttl = Duration::from_secs(ttl);
    let sessions = sipher.manager().ttl(ttl).build().unwrap();
    let http = SessionLayer::new(sessions).layer(sipher.clone());
    for _ in 0..span / pace {
        let request = Request::post("https://sipher-api.sip-protocol.org/v1/stealth/generate")
            .header("content-type", "application/json")
            .body(Full::<Bytes>::from("{}"))
            .unwrap();
        http.clone().oneshot(request).await.unwrap();
        sleep(Duration::from_secs(pace)).await;
    }
    sipher.assert_every_call_had_a_session();
    let count = |operation| sipher.count(operation);
    (count(Operation::Create), count(Operation::Delete))
}

#[tokio::test(start_paused = true)]
async fn steady_traffic_costs_as_many_sessions_a_day_as_the_table_says() {
    // ttl, span, pace, number of renewals, whether renewed sessions are deleted; times in seconds
    let cases: [(u64, u64, u64, RangeInclusive<usize>, bool); 3] = [
        (60, HOUR / 3, 1, 1_800 / 72 - 1..=1_920 / 72, false),
        (HOUR, 12 * HOUR, 30, 30 / 2 - 1..=32 / 2, true),
        (24 * HOUR, 24 * HOUR, 300, 1..=1, false),
    ];
    for (ttl, span, pace, expected, are_deleted) in cases {
        let (created, deleted) = under_traffic(ttl, span, pace).await;
        let renewed = created - 1;
        assert!(expected.contains(&renewed), "{ttl} s: {renewed} renewals");
        assert_eq!(deleted, if are_deleted { renewed } else { 0 }, "{ttl} s");
    }
    for row in [
        "| creates a day under steady traffic | 1,800 to 1,920 | 30 to 32 | 1 or 2 |",
        "| a renewed session is deleted on the server | no, it expires | yes | no, it expires |",
    ] {
        assert!(LIFE.contains(row), "{row}");
    }
}
