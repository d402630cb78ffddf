//! Checks that the created session is the one that was asked for.
//!
//! The server drops defaults that it does not know and still answers 201. A session with other defaults than asked for
//! is as bad as none.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::{
    api::{KNOWN_DEFAULTS, SessionDefaults, SessionRecord},
    error::{Error, ErrorKind},
};

/// The shortest life that is accepted. A session with a shorter one would be renewed all the time.
const MIN_LIFE: Duration = Duration::from_secs(30);

/// What the server granted.
#[derive(Debug, PartialEq)]
pub(crate) struct Granted {
    /// The session's whole life.
    pub(crate) life: Duration,
    /// The keys of defaults that were not asked for and that this version does not know.
    pub(crate) unknown: Vec<String>,
}

/// Checks the server's answer to a create.
///
/// # Errors
///
/// [`ErrorKind::WrongAnswer`] naming the first thing that differs.
pub(crate) fn check(
    record: &SessionRecord,
    asked: &SessionDefaults,
    ttl: Duration,
) -> Result<Granted, Error> {
    let wrong = |what: String| Err(Error::new(ErrorKind::WrongAnswer, what));
    let Some(created_at) = record.created_at else {
        return wrong("the new session does not say when it was created".into());
    };
    let life = Duration::from_millis(record.expires_at.saturating_sub(created_at)).min(ttl);
    if life < MIN_LIFE {
        return wrong(format!(
            "the new session lives for {life:?}; expected {MIN_LIFE:?} or more"
        ));
    }
    let (asked, stored) = (as_map(asked), as_map(&record.defaults));
    for (key, value) in &asked {
        match stored.get(key) {
            None => return wrong(format!("the new session does not store `{key}`")),
            Some(other) if other != value => {
                return wrong(format!(
                    "the new session stores another `{key}` than was asked for"
                ));
            }
            Some(_) => {}
        }
    }
    let extra = stored
        .into_iter()
        .map(|(key, _)| key)
        .filter(|key| !asked.contains_key(key));
    let (known, unknown): (Vec<_>, Vec<_>) =
        extra.partition(|key| KNOWN_DEFAULTS.contains(&key.as_str()));
    match known.first() {
        Some(key) => wrong(format!(
            "the new session stores `{key}`, which was not asked for"
        )),
        None => Ok(Granted { life, unknown }),
    }
}

fn as_map(defaults: &SessionDefaults) -> Map<String, Value> {
    match serde_json::to_value(defaults) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::Chain;

    fn check_with(stored: &Value, created_at: u64, expires_at: u64) -> Result<Granted, Error> {
        let record = json!({
            "sessionId": format!("sess_{}", "0".repeat(64)),
            "defaults": stored, "createdAt": created_at, "expiresAt": expires_at,
        });
        let record = serde_json::from_value(record).unwrap();
        check(
            &record,
            &SessionDefaults::new().chain(Chain::Near),
            Duration::from_secs(3600),
        )
    }

    #[test]
    fn the_session_must_store_what_was_asked_for_and_nothing_else_that_is_known() {
        let fails = |stored: Value| check_with(&stored, 0, 3_600_000).unwrap_err().to_string();
        let start = "the new session";
        assert_eq!(fails(json!({})), format!("{start} does not store `chain`"));
        assert_eq!(
            fails(json!({"chain": "sui"})),
            format!("{start} stores another `chain` than was asked for")
        );
        assert_eq!(
            fails(json!({"chain": "near", "backend": "sip-native"})),
            format!("{start} stores `backend`, which was not asked for")
        );
    }

    #[test]
    fn a_key_that_nobody_knows_is_told_of_and_no_error() {
        let granted = check_with(&json!({"chain": "near", "colour": "red"}), 0, 3_600_000).unwrap();
        assert_eq!(granted.unknown, ["colour"]);
    }

    #[test]
    fn the_life_is_the_servers_difference_and_never_more_than_was_asked_for() {
        let near = json!({"chain": "near"});
        let life =
            |created, expires| check_with(&near, created, expires).map(|g| g.life.as_millis());
        let skewed = 9_000_000_000_000;
        assert_eq!(life(skewed, skewed + 60_000).unwrap(), 60_000);
        assert_eq!(life(0, 7_200_000).unwrap(), 3_600_000);
        assert_eq!(life(0, 30_000).unwrap(), 30_000);
        assert_eq!(
            life(0, 29_999).unwrap_err().to_string(),
            "the new session lives for 29.999s; expected 30s or more"
        );
        assert!(life(5_000, 0).is_err());
    }
}
