//! Reads the configuration with figment. Exits with 0 if all checks pass.

#![forbid(unsafe_code)]

use anyhow::Result;
use configuration::{Settings, check};
use figment::{
    Figment,
    providers::{Env, Format, Toml},
};

fn main() -> Result<()> {
    check(|file| {
        let figment = Figment::new()
            .merge(Toml::string(file)) // `Toml::file("service.toml")`
            .merge(Env::prefixed("APP_").split("__")); // `APP_SIPHER__TTL` is `sipher.ttl`
        Ok(figment.extract::<Settings>()?)
    })
}
