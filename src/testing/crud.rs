//! The four session calls.

use serde_json::{Map, Value, json};

use super::{
    answer::Answer,
    call,
    fault::What,
    log::DeadReason,
    routes::Admitted,
    server::Server,
    sessions::Record,
    validate::{self, CHAINS},
};
use crate::clock::millis;

impl Server {
    pub(super) fn create(&mut self, admitted: &Admitted<'_>) -> Result<Answer, Answer> {
        let (mut defaults, ttl) = validate::create(admitted.body.as_ref())?;
        let mut echo = None;
        let mut life = ttl * 1000;
        let mut early = 0;
        match &admitted.arrival.what {
            Some(What::DropDefault(name)) => drop(defaults.remove(name)),
            Some(What::EchoWrong) => echo = Some(another_chain(&defaults)),
            Some(What::ShortLife(short)) => life = millis(*short),
            Some(What::ExpireEarly(by)) => early = millis(*by),
            _ => {}
        }
        let now = self.now();
        let record = Record {
            id: format!("sess_{}", self.mint()),
            owner: admitted.key.clone(),
            defaults,
            created: now,
            expires: now + life,
            dies: (now + life).saturating_sub(early),
            accessed: now,
        };
        self.sessions.write(admitted.arrival.replica, &record);
        let data = json!({
            "sessionId": record.id, "defaults": echo.unwrap_or(record.defaults),
            "createdAt": record.created, "expiresAt": record.expires,
        });
        Ok(Answer::data(201, &data))
    }

    pub(super) fn get(&mut self, admitted: &Admitted<'_>, id: &str) -> Result<Answer, Answer> {
        let record = self.own(admitted, id)?;
        let data = json!({
            "sessionId": record.id, "defaults": record.defaults, "createdAt": record.created,
            "expiresAt": record.expires, "lastAccessedAt": record.accessed,
        });
        Ok(Answer::data(200, &data))
    }

    pub(super) fn update(&mut self, admitted: &Admitted<'_>, id: &str) -> Result<Answer, Answer> {
        let changes = validate::update(admitted.body.as_ref())?;
        let mut record = self.own(admitted, id)?;
        record.defaults.extend(changes);
        self.sessions.write(admitted.arrival.replica, &record);
        let data = json!({
            "sessionId": record.id, "defaults": record.defaults,
            "expiresAt": record.expires, "lastAccessedAt": record.accessed,
        });
        Ok(Answer::data(200, &data))
    }

    pub(super) fn delete(&mut self, admitted: &Admitted<'_>, id: &str) -> Result<Answer, Answer> {
        let record = self.own(admitted, id)?;
        let replica = admitted.arrival.replica;
        self.sessions
            .remove(replica, &record.id, DeadReason::Deleted);
        Ok(Answer::data(
            200,
            &json!({ "sessionId": record.id, "deleted": true }),
        ))
    }

    /// Finds a session of the request's key. A session of another key is not found, but its last access is updated.
    fn own(&mut self, admitted: &Admitted<'_>, id: &str) -> Result<Record, Answer> {
        if !call::well_formed(id) {
            let message = "Invalid session ID format. Expected sess_ + 64 hex chars.";
            return Err(Answer::error(400, "VALIDATION_ERROR", message));
        }
        let record = self
            .sessions
            .touch(admitted.arrival.replica, id, self.now());
        record
            .filter(|record| record.owner == admitted.key)
            .ok_or_else(|| {
                let message = format!("Session not found: {id}");
                Answer::error(404, "SESSION_NOT_FOUND", &message)
            })
    }
}

fn another_chain(defaults: &Map<String, Value>) -> Map<String, Value> {
    let asked = defaults.get("chain").and_then(Value::as_str);
    let other = CHAINS.iter().find(|&&chain| Some(chain) != asked);
    let mut echo = defaults.clone();
    echo.insert("chain".to_owned(), json!(other));
    echo
}
