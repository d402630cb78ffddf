//! A server that repeats every secret it knows, in every encoding and wherever it can.

use http::Response;
use http_body_util::Full;
use serde_json::json;
use sipher_session::{
    BoxError, ErrorKind, SessionDefaults, SessionManager,
    api::{Bytes, CreateSession, SessionId, SessionsApi, Transport},
};
use tower::service_fn;

use crate::{
    support::{Call, SECOND},
    witness::Witness,
};

// The key does not look like one of Sipher's, so nothing recognises it by its form.
const KEY: &str = "Key-Of-Our-Own.4711/0815=0042";
const VIEWING_KEY: &str = "0xca11ab1eca11ab1eca11ab1e";
const ID: &str = "sess_fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
const RECORDED: [&str; 2] = [
    include_str!("../wire/sessions.jsonl"),
    include_str!("../wire/edges.jsonl"),
];

/// Returns the same text in other encodings.
fn dresses(text: &str) -> Vec<String> {
    let each = |dress: fn(u8) -> String| text.bytes().map(dress).collect::<String>();
    let percent = each(|b| format!("%{b:02x}"));
    let middle = text.len() / 2;
    vec![
        text.to_owned(),
        text.to_uppercase(),
        each(|b| format!("\\u{b:04X}")),
        each(|b| format!("&#{b};")),
        percent.replace('%', "%25"),
        percent,
        format!("{}\r\n  {}", &text[..middle], &text[middle..]),
        format!("<a href=\"/x?y={text}\">{text}</a>"),
        // If no call names the id, only its beginning shows that this is an id.
        text[if text == ID { 0..24 } else { 4..24 }].to_owned(),
    ]
}

async fn answered(
    witness: &Witness,
    response: impl Fn() -> Response<Full<Bytes>> + Clone + Send + 'static,
) {
    let transport = Transport::new(service_fn(move |_: Call| {
        let response = response.clone();
        async move { Ok::<_, BoxError>(response()) }
    }));
    tell(witness, transport).await;
}

/// Makes every kind of call, and records everything that results.
async fn tell(witness: &Witness, transport: Transport) {
    let defaults = SessionDefaults::new().default_viewing_key(VIEWING_KEY);
    let manager = SessionManager::builder()
        .api_key(KEY)
        .defaults(defaults.clone())
        .transport(transport)
        .max_wait(2 * SECOND)
        .create_timeout(SECOND)
        .build()
        .unwrap();
    let mut events = manager.events();
    let (api, id) = (manager.api(), SessionId::parse(ID).unwrap());
    let request = CreateSession::new(defaults.clone());
    witness.note(&witness.outcome(api.create_session(&request).await));
    witness.note(&witness.outcome(api.get_session(&id).await));
    witness.note(&witness.outcome(api.update_session(&id, &defaults).await));
    witness.outcome(api.delete_session(&id).await);
    witness.note(&witness.outcome(manager.session().await));
    witness.note(&manager.shutdown(SECOND).await);
    witness.events(&mut events);
}

fn witness() -> Witness {
    let witness = Witness::new();
    for secret in [KEY, VIEWING_KEY, ID] {
        witness.secret(secret);
    }
    witness
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_repeats_secrets_in_any_dress_shows_none() {
    let witness = witness();
    for secret in [KEY, VIEWING_KEY, ID] {
        for text in dresses(secret) {
            for status in [200, 201, 302, 400, 429, 503] {
                let text = text.clone();
                let header = text.replace(['\r', '\n'], " ");
                let error = json!({
                    "code": text, "message": format!("Session not found: {text}"),
                    "details": {"retryAfter": text, "resetAt": text, text.clone(): [{&text: {"path": [&text], "message": text}}]},
                });
                let list = json!([{"path": [&text], "message": &text}]);
                let listed = json!({"code": "VALIDATION_ERROR", "message": "m", "details": list});
                let bodies = [
                    json!({"success": false, "error": error}).to_string(),
                    json!({"success": false, "error": listed}).to_string(),
                    json!({"success": true, "data": {"sessionId": text, "defaults": text, "expiresAt": text}}).to_string(),
                    format!("<html>{text}</html>"),
                    text.clone(),
                ];
                for (i, body) in bodies.into_iter().enumerate() {
                    let (text, header) = (text.clone(), header.clone());
                    answered(&witness, move || {
                        let html = i == 3;
                        Response::builder()
                            .status(status)
                            .header(
                                "content-type",
                                if html {
                                    "text/html"
                                } else {
                                    "application/json"
                                },
                            )
                            .header("x-request-id", &header)
                            .header("retry-after", &header)
                            .header("date", &header)
                            .header(
                                "location",
                                format!("https://{}.evil.example/{text}", text.to_lowercase())
                                    .replace(['\r', '\n', ' '], ""),
                            )
                            .body(Full::from(body.clone()))
                            .unwrap()
                    })
                    .await;
                }
            }
        }
    }
    assert!(
        witness.everything().contains("[redacted]"),
        "it did repeat them"
    );
    witness.assert_saw_no_secret();
}

#[tokio::test(start_paused = true)]
async fn a_success_that_repeats_secrets_where_none_belong_is_none() {
    let own = "sess_aaaa000011112222aaaa000011112222aaaa000011112222aaaa000011112222";
    for secret in [KEY, VIEWING_KEY, ID, own] {
        for defaults in [
            json!({"chain": secret}),
            json!({"backend": format!("<{secret}>")}),
            json!({"a-new-one": {"deep": [secret]}}),
            json!({secret: 1}),
            json!({"a-new-one": &secret[5..20]}),
        ] {
            let witness = witness();
            witness.secret(own);
            let mut defaults = defaults;
            defaults["defaultViewingKey"] = VIEWING_KEY.into();
            let data = json!({"sessionId": own, "defaults": defaults, "createdAt": 0, "expiresAt": 3_600_000});
            let body = json!({"success": true, "data": data}).to_string();
            let sent = body.clone();
            answered(&witness, move || {
                let response = Response::builder().status(201);
                response.body(Full::from(sent.clone())).unwrap()
            })
            .await;
            let knows_it = secret != ID; // no call names this id
            let transport = Transport::new(service_fn(move |_: Call| {
                let response = Response::builder().status(201);
                let response = response.body(Full::<Bytes>::from(body.clone())).unwrap();
                async move { Ok::<_, BoxError>(response) }
            }));
            let api = SessionsApi::new(transport, "https://host", KEY).unwrap();
            let request = SessionDefaults::new().default_viewing_key(VIEWING_KEY);
            let outcome = api.create_session(&CreateSession::new(request)).await;
            if knows_it {
                assert_eq!(
                    outcome.unwrap_err().kind(),
                    ErrorKind::WrongAnswer,
                    "{secret}"
                );
                witness.assert_saw_no_secret();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_repeats_secrets_in_its_errors_shows_none() {
    #[derive(Debug)]
    struct Chatty(String, Option<Box<Chatty>>);
    impl std::fmt::Display for Chatty {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str(&self.0)
        }
    }
    impl std::error::Error for Chatty {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }
    let witness = witness();
    for secret in [KEY, VIEWING_KEY, ID] {
        for text in dresses(secret) {
            let transport = Transport::new(service_fn(move |call: Call| {
                let cause = format!("{text} {:?} {}", call.body(), call.uri());
                let error = Chatty(call.uri().to_string(), Some(Box::new(Chatty(cause, None))));
                async move { Err::<Response<Full<Bytes>>, BoxError>(error.into()) }
            }));
            tell(&witness, transport).await;
        }
    }
    assert!(
        witness.everything().contains("[redacted]"),
        "it did repeat them"
    );
    witness.assert_saw_no_secret();
}

#[tokio::test(start_paused = true)]
async fn recorded_answers_show_none_of_the_ids_that_they_repeat() {
    let witness = witness();
    let mut repeated = 0;
    for line in RECORDED.iter().flat_map(|recorded| recorded.lines()) {
        let exchange: serde_json::Value = serde_json::from_str(line).unwrap();
        // The names in braces stand for the values at the time of the recording.
        let mut body = exchange["answer"].to_string();
        for n in 0..20 {
            let id = format!("sess_{}", format!("{:08x}", n * 0x0135_79bd).repeat(8));
            let key = format!("sk_pro_{}", format!("{:08x}", n * 0x0246_8ace).repeat(8));
            if n > 0 {
                witness.secret(&id);
                witness.secret(&key);
            }
            body = body.replace(&format!("{{session {n}}}"), &id);
            body = body.replace(&format!("{{pro {n}}}"), &key);
        }
        repeated += crate::witness::ids(&body).len();
        let status = u16::try_from(exchange["status"].as_u64().unwrap()).unwrap();
        answered(&witness, move || {
            let response = Response::builder().status(status);
            let response = response.header("content-type", "application/json");
            response.body(Full::from(body.clone())).unwrap()
        })
        .await;
    }
    assert!(repeated > 10, "they do repeat ids: {repeated}");
    witness.assert_saw_no_secret();
}
