//! Settings from flags, environment and file. The first of them wins, setting by setting.
//!
//! The file is TOML. Its top level has the settings of [`SessionConfig`], by the same names, and a table `[gateway]`.
//!
//! ```toml
//! inline_defaults = "always"
//!
//! [defaults]
//! chain = "near"
//!
//! [gateway]
//! listen = "127.0.0.1:8901"
//! ```
//!
//! All problems are collected, so that one check shows every one of them.

use std::{cell::Cell, ffi::OsString};

use serde::Deserialize;
use sipher_session::SessionConfig;
use toml::{Table, Value};

use crate::{Token, fields::GatewayConfig};

/// What the sources said, merged.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// The settings of the manager.
    pub session: SessionConfig,
    /// The settings of the gateway.
    pub gateway: GatewayConfig,
    /// The token that callers have to show.
    pub token: Option<Token>,
}

/// The names in front of variables of the gateway.
const OWN: &str = "SIPHER_GATEWAY_";
const TOKEN: &str = "SIPHER_GATEWAY_TOKEN";
/// The variables that are read by the flags of the same names.
const FLAGS: [&str; 1] = ["SIPHER_GATEWAY_CONFIG"];

impl Config {
    /// Merges the three sources. `file` is the text of the configuration file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with the name of its setting. No message contains a key or a token.
    pub fn read(
        flags: GatewayConfig,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        file: Option<&str>,
    ) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let variables = Variables::new(variables, &mut problems);
        let of_env = variables.session(&mut problems);
        let gateway_of_env = variables.gateway(&mut problems);
        let (of_file, gateway_of_file) = read_file(file.unwrap_or_default(), &mut problems);
        let gateway = flags.or(gateway_of_env).or(gateway_of_file);
        let token = match (variables.token, &gateway.token_file) {
            (Some(token), _) => Some(Token::new(token)),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| {
                    problems.push(format!(
                        "gateway.token_file: `{}` cannot be read: {error}",
                        path.display()
                    ));
                });
                text.ok().map(Token::new)
            }
            (None, None) => None,
        };
        let token = token.and_then(|token| {
            let noted = token.map_err(|problem| problems.push(problem.to_string()));
            noted.ok()
        });
        if problems.is_empty() {
            let session = of_env.or(of_file);
            return Ok(Self {
                session,
                gateway,
                token,
            });
        }
        Err(problems)
    }
}

/// The environment, as far as it concerns us.
struct Variables {
    session: Vec<(String, OsString)>,
    gateway: Vec<(String, String)>,
    token: Option<String>,
}

impl Variables {
    fn new(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        problems: &mut Vec<String>,
    ) -> Self {
        let mut sorted = Self {
            session: Vec::new(),
            gateway: Vec::new(),
            token: None,
        };
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with("SIPHER_")) else {
                continue;
            };
            if is_by_kubernetes(name) || FLAGS.contains(&name) {
                continue;
            }
            let Some(setting) = name.strip_prefix(OWN) else {
                sorted.session.push((name.to_owned(), value));
                continue;
            };
            match value.into_string() {
                Ok(value) if name == TOKEN => sorted.token = Some(value),
                Ok(value) => sorted.gateway.push((setting.to_lowercase(), value)),
                Err(_) => problems.push(format!("{name}: is not valid UTF-8")),
            }
        }
        sorted.session.sort();
        sorted.gateway.sort();
        sorted
    }

    /// Reads each variable alone, so that each can be wrong. Then all together, for what two of them say at once.
    fn session(&self, problems: &mut Vec<String>) -> SessionConfig {
        let before = problems.len();
        for (name, value) in &self.session {
            let is_known = Cell::new(false);
            let lookup = |asked: &str| {
                is_known.set(is_known.get() || asked == name);
                (asked == name).then(|| value.clone())
            };
            if let Err(error) = SessionConfig::from_variables(lookup) {
                problems.push(error.to_string());
            } else if !is_known.get() {
                problems.push(format!(
                    "{name}: is not a setting; correct its name or unset it"
                ));
            }
        }
        if problems.len() > before {
            return SessionConfig::default();
        }
        let lookup = |asked: &str| {
            let mut all = self.session.iter();
            all.find(|(name, _)| name == asked)
                .map(|(_, value)| value.clone())
        };
        SessionConfig::from_variables(lookup).unwrap_or_else(|error| {
            problems.push(error.to_string());
            SessionConfig::default()
        })
    }

    fn gateway(&self, problems: &mut Vec<String>) -> GatewayConfig {
        let values = self.gateway.iter().map(|(setting, text)| {
            let value = match (text.parse(), text.parse()) {
                (Ok(number), _) => Value::Integer(number),
                (_, Ok(switch)) => Value::Boolean(switch),
                _ => Value::String(text.clone()),
            };
            (setting.clone(), value)
        });
        let name = |setting: &str| format!("{OWN}{}", setting.to_uppercase());
        gateway(values, name, problems)
    }
}

/// Kubernetes puts such variables into each container, for each service: one called `sipher` makes `SIPHER_PORT`.
fn is_by_kubernetes(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.contains("_PORT_")
}

fn read_file(text: &str, problems: &mut Vec<String>) -> (SessionConfig, GatewayConfig) {
    let mut table = match text.parse::<Table>() {
        Ok(table) => table,
        Err(error) => {
            // Not the whole error: it quotes the line, and a key may stand there.
            let before = text.get(..error.span().map_or(0, |span| span.start));
            let line = before.unwrap_or_default().matches('\n').count() + 1;
            problems.push(format!("line {line}: {}", error.message()));
            return Default::default();
        }
    };
    let of_gateway = match table.remove("gateway") {
        None => Table::new(),
        Some(Value::Table(table)) => table,
        Some(_) => {
            problems.push("gateway: is not a table; expected `[gateway]`".to_owned());
            Table::new()
        }
    };
    let name = |setting: &str| format!("gateway.{setting}");
    let gateway = gateway(of_gateway, name, problems);
    let before = problems.len();
    // Each setting alone, so that each can be wrong. Then all together, for what two of them say at once.
    for one in alone(&table) {
        if let Err(error) = SessionConfig::deserialize(one) {
            problems.push(error.message().to_owned());
        }
    }
    if problems.len() > before {
        return (SessionConfig::default(), gateway);
    }
    let session = SessionConfig::deserialize(table).unwrap_or_else(|error| {
        problems.push(error.message().to_owned());
        SessionConfig::default()
    });
    (session, gateway)
}

/// Returns a table for each setting, also for those of the inner tables.
fn alone(table: &Table) -> Vec<Table> {
    let one = |key: &String, value: Value| Table::from_iter([(key.clone(), value)]);
    let mut all = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) => all.extend(
                inner
                    .iter()
                    .map(|(name, value)| one(key, Value::Table(one(name, value.clone())))),
            ),
            value => all.push(one(key, value.clone())),
        }
    }
    all
}

fn gateway(
    values: impl IntoIterator<Item = (String, Value)>,
    name: impl Fn(&str) -> String,
    problems: &mut Vec<String>,
) -> GatewayConfig {
    let mut merged = GatewayConfig::default();
    for (setting, value) in values {
        let one = Table::from_iter([(setting.clone(), value)]);
        match GatewayConfig::deserialize(one) {
            Ok(one) => merged = one.or(merged),
            Err(error) => problems.push(format!("{}: {}", name(&setting), error.message())),
        }
    }
    merged
}
