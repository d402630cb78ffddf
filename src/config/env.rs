//! Reads settings from environment variables.

use std::{env, ffi::OsString};

use serde_json::{Value, json};

use super::SessionConfig;
use crate::{api::scrub, error::Error};

/// Which setting a variable sets, and the type of its value.
enum Field {
    Text(&'static [&'static str]),
    /// Separated by commas.
    List(&'static [&'static str]),
    Number(&'static [&'static str]),
    Switch(&'static [&'static str]),
}
use Field::{List, Number, Switch, Text};

const VARIABLES: &[(&str, Field)] = &[
    ("SIPHER_API_KEY", Text(&["api_key"])),
    ("SIPHER_API_KEY_FILE", Text(&["api_key_file"])),
    ("SIPHER_BASE_URL", Text(&["base_url"])),
    ("SIPHER_ALIASES", List(&["aliases"])),
    ("SIPHER_ALLOW_PLAIN_HTTP", Switch(&["allow_plain_http"])),
    ("SIPHER_CHAIN", Text(&["defaults", "chain"])),
    ("SIPHER_PRIVACY_LEVEL", Text(&["defaults", "privacy_level"])),
    ("SIPHER_RPC_PROVIDER", Text(&["defaults", "rpc_provider"])),
    ("SIPHER_BACKEND", Text(&["defaults", "backend"])),
    (
        "SIPHER_VIEWING_KEY",
        Text(&["defaults", "default_viewing_key"]),
    ),
    (
        "SIPHER_VIEWING_KEY_FILE",
        Text(&["defaults", "default_viewing_key_file"]),
    ),
    ("SIPHER_TTL", Text(&["ttl"])),
    ("SIPHER_CREATE_TIMEOUT", Text(&["create_timeout"])),
    ("SIPHER_MAX_WAIT", Text(&["max_wait"])),
    ("SIPHER_LINGER", Text(&["linger"])),
    ("SIPHER_VERIFY_AFTER", Text(&["verify_after"])),
    ("SIPHER_VERIFY_EVERY", Text(&["verify_every"])),
    ("SIPHER_ON_NO_SESSION", Text(&["on_no_session"])),
    ("SIPHER_FOREIGN_IDS", Text(&["foreign_ids"])),
    ("SIPHER_ON_OUTSIDE", Text(&["on_outside"])),
    ("SIPHER_INLINE_DEFAULTS", Text(&["inline_defaults"])),
    ("SIPHER_INLINE_STRICT", Switch(&["inline_strict"])),
    ("SIPHER_WITHOUT_SESSIONS", Switch(&["without_sessions"])),
    ("SIPHER_MAX_SESSIONS", Number(&["max_sessions"])),
    (
        "SIPHER_CALLS_PER_MINUTE",
        Number(&["call_budget", "per_minute"]),
    ),
    ("SIPHER_CALL_BURST", Number(&["call_budget", "burst"])),
    (
        "SIPHER_UPKEEP_PER_DAY",
        Number(&["call_budget", "upkeep_per_day"]),
    ),
    #[cfg(feature = "store")]
    ("SIPHER_ON_STORE_DOWN", Text(&["on_store_down"])),
    #[cfg(feature = "store")]
    ("SIPHER_MEMBER_LEASE", Text(&["member_lease"])),
    #[cfg(feature = "store")]
    ("SIPHER_VERIFY_ADOPTED", Switch(&["verify_adopted"])),
];

impl SessionConfig {
    /// Reads the settings from environment variables.
    ///
    /// | variable | setting |
    /// | --- | --- |
    /// | `SIPHER_API_KEY`, `SIPHER_API_KEY_FILE` | the API key, or a file with it |
    /// | `SIPHER_BASE_URL` | the base URL of Sipher |
    /// | `SIPHER_ALIASES` | other names of the same server, separated by commas |
    /// | `SIPHER_ALLOW_PLAIN_HTTP` | `true` or `false` |
    /// | `SIPHER_CHAIN`, `SIPHER_PRIVACY_LEVEL`, `SIPHER_RPC_PROVIDER`, `SIPHER_BACKEND` | defaults |
    /// | `SIPHER_VIEWING_KEY`, `SIPHER_VIEWING_KEY_FILE` | the default viewing key, or a file with it |
    /// | `SIPHER_TTL`, `SIPHER_CREATE_TIMEOUT`, `SIPHER_MAX_WAIT`, `SIPHER_LINGER`, `SIPHER_VERIFY_AFTER`, `SIPHER_VERIFY_EVERY` | durations such as `1h` |
    /// | `SIPHER_ON_NO_SESSION` | `fail` or `send_without` |
    /// | `SIPHER_FOREIGN_IDS` | `refuse`, `replace` or `keep` |
    /// | `SIPHER_ON_OUTSIDE` | `pass` or `refuse` |
    /// | `SIPHER_INLINE_DEFAULTS` | `off`, `without_session` or `always` |
    /// | `SIPHER_INLINE_STRICT`, `SIPHER_WITHOUT_SESSIONS` | `true` or `false` |
    /// | `SIPHER_MAX_SESSIONS`, `SIPHER_CALLS_PER_MINUTE`, `SIPHER_CALL_BURST`, `SIPHER_UPKEEP_PER_DAY` | numbers |
    ///
    /// With the feature `store` also:
    ///
    /// | variable | setting |
    /// | --- | --- |
    /// | `SIPHER_ON_STORE_DOWN` | `own_session` or `fail` |
    /// | `SIPHER_MEMBER_LEASE` | a duration such as `5m` |
    /// | `SIPHER_VERIFY_ADOPTED` | `true` or `false` |
    ///
    /// A variable with an empty value is an error. Otherwise, an empty `SIPHER_CHAIN` would silently select the
    /// server's own default. Variables that are not in the tables are not read, also if their names begin with
    /// `SIPHER_`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`](crate::ErrorKind::Config). Its message names the variable.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| env::var_os(name))
    }

    /// Reads the settings from variables of another source. `lookup` returns the value of a variable, if it is set.
    ///
    /// # Errors
    ///
    /// The errors of [`from_env`](Self::from_env).
    ///
    /// ```
    /// use sipher_session::{Chain, SessionConfig};
    ///
    /// let config = SessionConfig::from_variables(|name| match name {
    ///     "SIPHER_CHAIN" => Some("near".into()),
    ///     _ => None,
    /// })?;
    /// assert_eq!(config.defaults.chain, Some(Chain::Near));
    /// # Ok::<(), sipher_session::Error>(())
    /// ```
    pub fn from_variables(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let mut config = Self::default();
        for secret in ["SIPHER_API_KEY", "SIPHER_VIEWING_KEY"] {
            let file = format!("{secret}_FILE");
            if lookup(secret).is_some() && lookup(&file).is_some() {
                return Err(Error::config(format!(
                    "{secret}: is set together with {file}; expected one of them"
                )));
            }
        }
        for (name, field) in VARIABLES {
            if let Some(value) = lookup(name) {
                config = config.or(read(name, field, value)?);
            }
        }
        Ok(config)
    }
}

/// Replaces the setting's name in an error with the variable's name. A user who sets variables may not know the names
/// of the settings.
pub(super) fn name_the_variable(error: Error) -> Error {
    let message = error.to_string();
    let Some((setting, complaint)) = message.split_once(": ") else {
        return error;
    };
    let is_it = |field: &Field| match field {
        // The builder takes aliases one at a time, and calls the setting `alias`.
        List(_) => setting == "alias",
        Text(path) | Number(path) | Switch(path) => path.join(".") == setting,
    };
    match VARIABLES.iter().find(|(_, field)| is_it(field)) {
        Some((name, _)) => error.with_message(format!("{name}: {complaint}")),
        None => error,
    }
}

/// Reads one variable on its own, so that an error is known to be about this variable.
fn read(name: &str, field: &Field, value: OsString) -> Result<SessionConfig, Error> {
    let text = value
        .into_string()
        .map_err(|_| Error::config(format!("{name}: is not Unicode")))?;
    if text.is_empty() {
        return Err(Error::config(format!(
            "{name}: is empty; expected a value, or no such variable"
        )));
    }
    let (path, value) = match field {
        Text(path) => (path, Value::from(text)),
        List(path) => (path, text.split(',').map(str::trim).collect()),
        Number(path) => {
            let number: u64 = text.parse().map_err(|_| {
                let text = scrub::text(&text, &[]);
                Error::config(format!("{name}: is `{text}`; expected a whole number"))
            })?;
            (path, Value::from(number))
        }
        Switch(path) => {
            let on: bool = text.parse().map_err(|_| {
                Error::config(format!("{name}: is `{text}`; expected `true` or `false`"))
            })?;
            (path, Value::from(on))
        }
    };
    let config = path
        .iter()
        .rev()
        .fold(value, |value, key| json!({ *key: value }));
    serde_json::from_value(config).map_err(|error| {
        let message = error.to_string();
        // The message begins with the field's name. Replace that with the variable's name.
        let complaint = message
            .strip_prefix(&format!("{}: ", path.join(".")))
            .unwrap_or(&message);
        Error::config(format!("{name}: {complaint}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SessionManager;

    #[test]
    fn a_value_that_building_refuses_is_told_by_the_name_of_its_variable() {
        for (name, value, complaint) in [
            ("SIPHER_TTL", "59s", "is 59 s"),
            ("SIPHER_CALL_BURST", "0", "is 0"),
            (
                "SIPHER_ALIASES",
                "https://a.example, ftp://b.example",
                "`ftp://b.example`",
            ),
            ("SIPHER_VIEWING_KEY", "abcd", "is a secret of 4 characters"),
            (
                "SIPHER_API_KEY_FILE",
                "/no/such/file",
                "`/no/such/file` cannot be read",
            ),
        ] {
            let lookup = |asked: &str| (asked == name).then(|| value.into());
            let config = SessionConfig::from_variables(lookup).unwrap();
            let error = name_the_variable(SessionManager::from_config(config).unwrap_err());
            let told = error.to_string();
            assert!(told.starts_with(&format!("{name}: {complaint}")), "{told}");
        }
    }
}
