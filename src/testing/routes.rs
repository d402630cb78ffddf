//! The order in which the server checks a request: key, tier, quota, body, session, route.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{
    answer::Answer,
    call::{self, Call, Route, SessionHeader},
    health,
    keys::{self, Tier},
    limits, merge,
    server::{Arrival, Server},
    validate::{self, DEFAULTS},
};
use crate::clock::Clock;

/// A request that has passed the checks.
pub(super) struct Admitted<'a> {
    pub(super) call: &'a Call,
    pub(super) arrival: &'a Arrival,
    pub(super) key: String,
    pub(super) tier: Tier,
    /// The body, with the session's defaults merged in.
    pub(super) body: Option<Value>,
}

impl Server {
    /// Answers a request like the application.
    pub(super) fn route(&mut self, arrival: &Arrival, body: &Bytes) -> Answer {
        let call = &arrival.call;
        let is_read = ["GET", "HEAD"].contains(&call.method.as_str());
        match call.route {
            _ if !call.is_public() => self.admit(arrival, body).unwrap_or_else(|refusal| refusal),
            Route::Health if is_read => self.health(arrival),
            Route::Ready if is_read => self.ready(),
            Route::Errors if is_read => health::errors(),
            Route::Page => Answer::data(200, &json!({ "status": "healthy" })),
            _ => nowhere(call),
        }
    }

    fn admit(&mut self, arrival: &Arrival, body: &Bytes) -> Result<Answer, Answer> {
        let call = &arrival.call;
        let key = call.api_key().ok_or_else(no_key)?;
        let tier = self.keys.valid(&key).ok_or_else(invalid_key)?.tier;
        keys::allow(tier, &call.path)?;
        let category = limits::category(&call.path);
        let wall = self.clock.now().wall;
        if let Some(category) = category {
            self.quotas(arrival.replica)
                .check(&key, tier, category, wall)?;
        }
        let mut body = merge::read(call, body)?;
        if let (Some(defaults), Some(body)) = (self.session_defaults(arrival, &key), &mut body) {
            merge::merge(body, &defaults);
        }
        let admitted = Admitted {
            call,
            arrival,
            key: key.clone(),
            tier,
            body,
        };
        let answer = self.serve_route(&admitted)?;
        if let Some(category) = category {
            self.quotas(arrival.replica).add(&key, category, 1, wall);
        }
        Ok(answer)
    }

    fn serve_route(&mut self, admitted: &Admitted<'_>) -> Result<Answer, Answer> {
        let body = admitted.body.as_ref();
        match (&admitted.call.route, admitted.call.method.as_str()) {
            (Route::Sessions, "POST") => self.create(admitted),
            (Route::Session(id), "GET" | "HEAD") => self.get(admitted, id),
            (Route::Session(id), "PATCH") => self.update(admitted, id),
            (Route::Session(id), "DELETE") => self.delete(admitted, id),
            (Route::Health, "GET" | "HEAD") => Ok(self.health(admitted.arrival)),
            (Route::Ready, "GET" | "HEAD") => Ok(self.ready()),
            (Route::Errors, "GET" | "HEAD") => Ok(health::errors()),
            (Route::Generate, "POST") => stealth(body, false),
            (Route::GenerateBatch, "POST") => stealth(body, true),
            (Route::Backends, "GET" | "HEAD") => Ok(backends()),
            (Route::Compare, "POST") => compare(body),
            (Route::Usage, "GET" | "HEAD") => {
                let now = self.clock.now().wall;
                let quotas = self.quotas(admitted.arrival.replica);
                let usage = quotas.usage(&admitted.key, admitted.tier, now);
                Ok(Answer::data(200, &usage))
            }
            (Route::Idempotent(route), "POST") => self.idempotent(admitted, route),
            _ => Err(nowhere(admitted.call)),
        }
    }

    /// Looks up the request's session, which counts as a use. Silently ignores an id that belongs to no session.
    fn session_defaults(&mut self, arrival: &Arrival, key: &str) -> Option<Map<String, Value>> {
        let SessionHeader::One(id) = arrival.call.session() else {
            return None;
        };
        if !call::well_formed(&id) {
            return None;
        }
        let record = self.sessions.touch(arrival.replica, &id, self.now())?;
        (record.owner == key).then_some(record.defaults)
    }
}

/// Answers a stealth call. `chain` is as in the server's answer. `applied` is the fake's own addition, so that tests
/// can see all defaults.
fn stealth(body: Option<&Value>, batch: bool) -> Result<Answer, Answer> {
    let chain = validate::generate(body, batch)?;
    let mut applied = applied(body);
    applied.insert("chain".to_owned(), json!(chain));
    let mut data = json!({ "chain": chain, "applied": applied });
    if batch {
        data["results"] = results(body, &chain);
    }
    let mut answer = Answer::data(200, &data);
    answer.chain = Some(chain);
    Ok(answer)
}

/// Returns one result for each address that was asked for, without keys.
fn results(body: Option<&Value>, chain: &str) -> Value {
    let count = body.and_then(|body| body["count"].as_f64());
    let result = |index| json!({ "index": index, "success": true, "data": { "metaAddress": { "chain": chain } } });
    (0..100)
        .take_while(|&index| count.is_some_and(|count| f64::from(index) < count))
        .map(result)
        .collect()
}

/// Answers a comparison of backends. Like the server's answer, it names no chain.
fn compare(body: Option<&Value>) -> Result<Answer, Answer> {
    validate::compare(body)?;
    Ok(Answer::data(200, &json!({ "applied": applied(body) })))
}

/// Returns the defaults that applied to the request.
fn applied(body: Option<&Value>) -> Map<String, Value> {
    let known = |name: &&str| Some(((*name).to_owned(), body?.get(name)?.clone()));
    DEFAULTS.iter().filter_map(known).collect()
}

fn backends() -> Answer {
    let backend = json!({ "name": "sip-native", "type": "transaction" });
    Answer::data(200, &json!({ "backends": [backend] }))
}

fn no_key() -> Answer {
    let message = "API key required. Provide via X-API-Key header or Authorization: Bearer <key>";
    Answer::error(401, "UNAUTHORIZED", message)
}

fn invalid_key() -> Answer {
    Answer::error(401, "INVALID_API_KEY", "Invalid API key")
}

fn nowhere(call: &Call) -> Answer {
    let message = format!("Route {} {} not found", call.method, call.path);
    Answer::error(404, "NOT_FOUND", &message)
}
