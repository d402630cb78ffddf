//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;

use crate::fields::{AdminPort, GatewayConfig, LogFormat};

/// A local reverse proxy for the Sipher REST API: every call gets its session and its defaults.
///
/// Settings come from flags, from variables (`SIPHER_…` and `SIPHER_GATEWAY_…`) and from the file. The first of them wins.
#[derive(Debug, Parser)]
#[command(version, name = "sipher-session-gateway")]
#[non_exhaustive]
pub struct Flags {
    /// The configuration file, in TOML. Also `SIPHER_GATEWAY_CONFIG`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where callers connect [default: 127.0.0.1:8901]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// The admin port, or `off` [default: 127.0.0.1:8902]
    #[arg(long, value_name = "ADDRESS")]
    pub admin: Option<AdminPort>,
    /// How log lines are written [default: text]
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
    /// Read the configuration, say what is wrong with it, and end: with 0 if all is right, with 1 if not
    #[arg(long)]
    pub check: bool,
}

impl Flags {
    /// Returns the settings among the flags.
    pub fn settings(&self) -> GatewayConfig {
        GatewayConfig {
            listen: self.listen,
            admin: self.admin,
            log_format: self.log_format,
            ..GatewayConfig::default()
        }
    }
}
