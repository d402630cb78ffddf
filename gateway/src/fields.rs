//! The settings of the table `[gateway]`, as data.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

/// How log lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where the admin port is: an address, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // there is a port, or there is none
pub enum AdminPort {
    /// No admin port.
    Off,
    /// At this address.
    At(SocketAddr),
}

impl FromStr for AdminPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let address = text.parse().map(Self::At);
        address.map_err(|_| format!("is `{text}`; expected an address with a port, or `off`"))
    }
}

/// The table `[gateway]` of a configuration. What is `None` has its default.
///
/// [`Limits`](crate::Limits) says what the limits mean.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct GatewayConfig {
    /// Where callers connect. Defaults to `127.0.0.1:8901`.
    #[serde(deserialize_with = "address")]
    pub listen: Option<SocketAddr>,
    /// The admin port, or `off`. Defaults to `127.0.0.1:8902`.
    #[serde(deserialize_with = "admin")]
    pub admin: Option<AdminPort>,
    /// Whether the two ports may be where other machines reach them. Defaults to `false`.
    pub allow_remote: Option<bool>,
    /// Whether requests without an API key get the configured one. Needs a token. Defaults to `false`.
    pub add_api_key: Option<bool>,
    /// A file with the token that callers have to show in `X-Gateway-Token`. Defaults to none.
    pub token_file: Option<PathBuf>,
    /// How log lines are written: `text` or `json`. Defaults to `text`.
    pub log_format: Option<LogFormat>,
    /// How long the deletes of the sessions may take at the end. Defaults to `8s`.
    #[serde(deserialize_with = "duration")]
    pub shutdown_timeout: Option<Duration>,
    /// See [`Limits::max_connections`](crate::Limits::max_connections).
    pub max_connections: Option<usize>,
    /// See [`Limits::max_streams`](crate::Limits::max_streams).
    pub max_streams: Option<u32>,
    /// See [`Limits::max_headers`](crate::Limits::max_headers).
    pub max_headers: Option<usize>,
    /// See [`Limits::max_header_bytes`](crate::Limits::max_header_bytes).
    pub max_header_bytes: Option<usize>,
    /// See [`Limits::max_body_bytes`](crate::Limits::max_body_bytes).
    pub max_body_bytes: Option<u64>,
    /// See [`Limits::header_timeout`](crate::Limits::header_timeout).
    #[serde(deserialize_with = "duration")]
    pub header_timeout: Option<Duration>,
    /// See [`Limits::idle_timeout`](crate::Limits::idle_timeout).
    #[serde(deserialize_with = "duration")]
    pub idle_timeout: Option<Duration>,
    /// See [`Limits::connect_timeout`](crate::Limits::connect_timeout).
    #[serde(deserialize_with = "duration")]
    pub connect_timeout: Option<Duration>,
    /// See [`Limits::upstream_timeout`](crate::Limits::upstream_timeout).
    #[serde(deserialize_with = "duration")]
    pub upstream_timeout: Option<Duration>,
    /// See [`Limits::drain_timeout`](crate::Limits::drain_timeout).
    #[serde(deserialize_with = "duration")]
    pub drain_timeout: Option<Duration>,
}

impl GatewayConfig {
    /// Returns these settings, and those of `fallback` where these have none.
    #[must_use]
    pub fn or(self, fallback: Self) -> Self {
        Self {
            listen: self.listen.or(fallback.listen),
            admin: self.admin.or(fallback.admin),
            allow_remote: self.allow_remote.or(fallback.allow_remote),
            add_api_key: self.add_api_key.or(fallback.add_api_key),
            token_file: self.token_file.or(fallback.token_file),
            log_format: self.log_format.or(fallback.log_format),
            shutdown_timeout: self.shutdown_timeout.or(fallback.shutdown_timeout),
            max_connections: self.max_connections.or(fallback.max_connections),
            max_streams: self.max_streams.or(fallback.max_streams),
            max_headers: self.max_headers.or(fallback.max_headers),
            max_header_bytes: self.max_header_bytes.or(fallback.max_header_bytes),
            max_body_bytes: self.max_body_bytes.or(fallback.max_body_bytes),
            header_timeout: self.header_timeout.or(fallback.header_timeout),
            idle_timeout: self.idle_timeout.or(fallback.idle_timeout),
            connect_timeout: self.connect_timeout.or(fallback.connect_timeout),
            upstream_timeout: self.upstream_timeout.or(fallback.upstream_timeout),
            drain_timeout: self.drain_timeout.or(fallback.drain_timeout),
        }
    }

    /// Returns the limits, with their defaults where nothing is set.
    pub fn limits(&self) -> crate::Limits {
        let mut limits = crate::Limits::default();
        set(&mut limits.max_connections, self.max_connections);
        set(&mut limits.max_streams, self.max_streams);
        set(&mut limits.max_headers, self.max_headers);
        set(&mut limits.max_header_bytes, self.max_header_bytes);
        set(&mut limits.max_body_bytes, self.max_body_bytes);
        set(&mut limits.header_timeout, self.header_timeout);
        set(&mut limits.idle_timeout, self.idle_timeout);
        set(&mut limits.connect_timeout, self.connect_timeout);
        set(&mut limits.upstream_timeout, self.upstream_timeout);
        set(&mut limits.drain_timeout, self.drain_timeout);
        limits
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn address<'de, D: Deserializer<'de>>(d: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(d)?;
    let wrong =
        |_| format!("is `{text}`; expected an address with a port, such as `127.0.0.1:8901`");
    text.parse()
        .map(Some)
        .map_err(wrong)
        .map_err(de::Error::custom)
}

fn admin<'de, D: Deserializer<'de>>(d: D) -> Result<Option<AdminPort>, D::Error> {
    let text = String::deserialize(d)?;
    text.parse().map(Some).map_err(de::Error::custom)
}

fn duration<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
    struct Humane;

    impl de::Visitor<'_> for Humane {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration with its unit, such as `90s`")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            let wrong =
                |_| format!("is `{text}`; expected a duration with its unit, such as `90s`");
            humantime::parse_duration(text)
                .map_err(wrong)
                .map_err(E::custom)
        }
    }

    d.deserialize_str(Humane).map(Some)
}
