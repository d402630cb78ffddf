//! A local reverse proxy for the Sipher REST API. Callers in any language set one base URL, and each of their requests
//! gets its session and its defaults.
//!
//! All decisions about sessions are those of [`sipher_session`]'s layers. The gateway adds none. It grants nobody
//! anything: it sends requests to one server only, and it adds no API key unless a setting says so.
//!
//! Run it as the program `sipher-session-gateway`, or inside of a process: see [`Gateway`].
#![forbid(unsafe_code)]

mod activity;
mod admin;
mod answer;
mod body;
mod builder;
mod config;
mod connection;
mod credentials;
mod error;
mod fields;
mod flags;
mod forwarded;
mod gateway;
mod hop;
mod limits;
mod proof;
mod proxy;
mod stall;
mod start;
mod status;
mod stop;
mod story;
mod stream;
mod target;
mod token;
mod upstream;

pub use self::{
    builder::GatewayBuilder,
    config::Config,
    error::GatewayError,
    fields::{AdminPort, GatewayConfig, LogFormat},
    flags::Flags,
    gateway::{Gateway, Served, Stop},
    limits::Limits,
    stop::Signals,
    token::Token,
    upstream::Upstream,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
