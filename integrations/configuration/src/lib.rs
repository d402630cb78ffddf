//! A service's own configuration, with this crate's settings as one section of it.
//!
//! The file is read first. The service's variables (`APP_SIPHER__TTL`) override it. The usual variables of this crate
//! (`SIPHER_CHAIN`) override both, so that one deployment works for all services.

#![forbid(unsafe_code)]

use std::{env, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use sipher_session::{
    Chain, SessionConfig, SessionManager, SessionManagerBuilder, api::Transport,
    testing::FakeSipher,
};

/// The service's configuration file.
pub const FILE: &str = r#"
listen = "127.0.0.1:8080"

[sipher]
api_key_file = "/run/secrets/sipher"
ttl = "1h"
max_sessions = 50

[sipher.defaults]
chain = "near"
"#;

/// The service's configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The address on which the service listens.
    pub listen: String,
    /// The settings of this crate.
    #[serde(default)]
    pub sipher: SessionConfig,
}

/// Builds a manager from the service's settings. `SIPHER_*` variables override them.
///
/// # Errors
///
/// If a setting is wrong.
pub fn sessions(settings: Settings) -> Result<SessionManager> {
    let config = SessionConfig::from_env()?.or(settings.sipher);
    // A real service does not set the transport.
    let builder = SessionManagerBuilder::from_config(config)?;
    Ok(builder
        .transport(Transport::new(FakeSipher::new()))
        .build()?)
}

/// Runs a program once more with the variables that a deployment would set, and checks the result.
///
/// # Errors
///
/// If a check fails.
pub fn check(read: impl Fn(&str) -> Result<Settings>) -> Result<()> {
    if env::var_os("APP_LISTEN").is_some() {
        return check_in_deployment(&read(FILE)?, read);
    }
    let program = Command::new(env::current_exe()?)
        .env("APP_LISTEN", "0.0.0.0:80")
        .env("APP_SIPHER__TTL", "30m")
        .env("APP_SIPHER__CALL_BUDGET__PER_MINUTE", "30")
        .env("APP_SIPHER__INLINE_DEFAULTS", "always")
        .env("APP_SIPHER__INLINE_STRICT", "true")
        .env("SIPHER_CHAIN", "sui")
        .env("SIPHER_API_KEY", "sk_pro_1234")
        .status()?;
    ensure!(program.success(), "the settings are not as they should be");
    Ok(())
}

fn check_in_deployment(settings: &Settings, read: impl Fn(&str) -> Result<Settings>) -> Result<()> {
    let sipher = &settings.sipher;
    ensure!(settings.listen == "0.0.0.0:80");
    ensure!(
        sipher.ttl == Some(Duration::from_secs(1_800)),
        "the variable over the file"
    );
    ensure!(sipher.max_sessions == Some(50), "the file");
    ensure!(
        sipher.call_budget.per_minute == Some(30),
        "a number from a variable"
    );
    ensure!(
        sipher.inline_strict == Some(true),
        "a switch from a variable"
    );
    ensure!(sipher.defaults.chain == Some(Chain::Near));

    let sessions = sessions(read(FILE)?)?;
    ensure!(
        sessions.defaults().chain == Some(Chain::Sui),
        "`SIPHER_CHAIN` over both"
    );

    let typo = read(&FILE.replace("chain", "chian"))
        .err()
        .context("a typo is an error")?;
    let told = format!("{typo:#}");
    ensure!(
        told.contains("unknown field") && told.contains("chian"),
        "it names the field: {told}"
    );
    let secret = FILE.replace(
        "api_key_file = \"/run/secrets/sipher\"",
        "api_key = 4711471147",
    );
    // figment refuses a key that is a number, and the crate `config` takes it for text. Neither shows it.
    let told = match read(&secret) {
        Ok(settings) => format!("{settings:?}"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(!told.contains("4711"), "{told}");
    Ok(())
}
