//! The fake over real sockets.

use std::time::Duration;

use serde_json::{Value, json};
use sipher_session::testing::{FakeSipher, Fault, SessionUse, Target, Tier, What};

fn post(client: &reqwest::Client, url: &str, key: &str, body: &Value) -> reqwest::RequestBuilder {
    client.post(url).header("x-api-key", key).json(body)
}

#[tokio::test]
async fn a_session_works_over_tcp() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let served = sipher.serve().await.unwrap();
    let client = reqwest::Client::new();
    let [sessions, stealth] =
        ["/v1/sessions", "/v1/stealth/generate"].map(|path| served.base_url() + path);

    let defaults = json!({ "defaults": { "chain": "near" } });
    let answer = post(&client, &sessions, &key, &defaults)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
    let answer: Value = answer.json().await.unwrap();
    let id = answer["data"]["sessionId"].as_str().unwrap();

    let call = post(&client, &stealth, &key, &json!({})).header("x-session-id", id);
    let answer: Value = call.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"]["chain"], "near");

    let head = client
        .head(format!("{sessions}/{id}"))
        .header("x-api-key", &key);
    assert_eq!(head.send().await.unwrap().status(), 200);
    sipher.assert_every_call_had_a_session();
}

#[tokio::test]
async fn lost_connections_and_half_bodies_are_errors_to_the_client() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let served = sipher.serve().await.unwrap();
    let client = reqwest::Client::new();
    let sessions = served.base_url() + "/v1/sessions";
    let create = async || {
        post(&client, &sessions, &key, &json!({ "defaults": {} }))
            .send()
            .await
    };

    for what in [What::Refuse, What::LoseRequest, What::LoseAnswer] {
        sipher.fault(Fault::new(what.clone()).on(Target::Create));
        assert!(create().await.is_err(), "{what:?}");
    }
    assert_eq!(sipher.live_sessions(), 1, "of the lost answer");
    sipher.fault(Fault::new(What::HalfBody).on(Target::Create));
    let answer = create().await.unwrap();
    assert_eq!(answer.status(), 201);
    assert!(answer.bytes().await.is_err());
}

#[tokio::test]
async fn a_client_that_closes_the_connection_gives_the_call_up() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let served = sipher.serve().await.unwrap();
    let client = reqwest::Client::new();
    let sessions = served.base_url() + "/v1/sessions";
    sipher.fault(Fault::new(What::Delay(Duration::from_millis(200))));
    let call = post(&client, &sessions, &key, &json!({ "defaults": {} }));
    assert!(
        call.timeout(Duration::from_millis(50))
            .send()
            .await
            .is_err()
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(sipher.live_sessions(), 0);
    assert_eq!(sipher.session_calls(), 1);
}

#[tokio::test]
async fn dead_ids_close_the_connection_on_demand() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    sipher.refuse_dead_ids(true);
    let served = sipher.serve().await.unwrap();
    let stealth = served.base_url() + "/v1/stealth/generate";
    let client = reqwest::Client::new();
    let call = post(&client, &stealth, &key, &json!({})).header("x-session-id", "nope");
    assert!(call.send().await.is_err());
    assert!(matches!(sipher.log()[0].session, SessionUse::Dead { .. }));
}

#[tokio::test]
async fn stopping_closes_the_port() {
    let sipher = FakeSipher::new();
    let served = sipher.serve().await.unwrap();
    let health = served.base_url() + "/v1/health";
    let client = reqwest::Client::new();
    assert_eq!(client.get(&health).send().await.unwrap().status(), 200);
    served.stop().await;
    assert!(client.get(&health).send().await.is_err());
}

#[tokio::test]
async fn a_server_that_was_closed_comes_back_on_the_same_port() {
    let sipher = FakeSipher::new();
    let mut served = sipher.serve().await.unwrap();
    let client = reqwest::Client::new();
    let health = served.base_url() + "/v1/health";
    for _ in 0..3 {
        assert_eq!(client.get(&health).send().await.unwrap().status(), 200);
        served.close().await.unwrap();
        let error = client.get(&health).send().await.unwrap_err();
        assert!(error.is_connect(), "{error:?}");
        served.close().await.unwrap();
        served.reopen().unwrap();
        served.reopen().unwrap();
    }
    assert_eq!(client.get(&health).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn closing_ends_the_calls_under_way() {
    let sipher = FakeSipher::new();
    let key = sipher.api_key(Tier::Pro);
    let mut served = sipher.serve().await.unwrap();
    let sessions = served.base_url() + "/v1/sessions";
    sipher.fault(Fault::new(What::Delay(Duration::from_millis(50))));
    let create = post(
        &reqwest::Client::new(),
        &sessions,
        &key,
        &json!({ "defaults": {} }),
    );
    let call = tokio::spawn(create.send());
    while sipher.session_calls() == 0 {
        tokio::task::yield_now().await;
    }
    served.close().await.unwrap();
    assert!(call.await.unwrap().is_err());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(sipher.live_sessions(), 0, "it was never handled");
}

#[tokio::test]
async fn a_server_that_was_dropped_is_gone_soon() {
    let sipher = FakeSipher::new();
    let served = sipher.serve().await.unwrap();
    let health = served.base_url() + "/v1/health";
    let client = reqwest::Client::new();
    assert_eq!(client.get(&health).send().await.unwrap().status(), 200);
    drop(served);
    while client.get(&health).send().await.is_ok() {}
}
