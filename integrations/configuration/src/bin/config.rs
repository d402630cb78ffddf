//! Reads the configuration with the crate `config`. Exits with 0 if all checks pass.

#![forbid(unsafe_code)]

use ::config::{Config, Environment, File, FileFormat};
use anyhow::Result;
use configuration::{Settings, check};

fn main() -> Result<()> {
    check(|file| {
        let variables = Environment::with_prefix("APP")
            .prefix_separator("_")
            .separator("__") // `APP_SIPHER__TTL` is `sipher.ttl`
            .try_parsing(true); // numbers and switches
        let config = Config::builder()
            .add_source(File::from_str(file, FileFormat::Toml)) // `File::with_name("service")`
            .add_source(variables)
            .build()?;
        Ok(config.try_deserialize::<Settings>()?)
    })
}
