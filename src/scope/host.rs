//! Hosts, and how to compare two of them.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

/// The host of the base URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// A name or an IPv4 address, in lower case and without a dot at the end.
    Name(String),
    /// An IPv6 address. It has many spellings.
    V6(Ipv6Addr),
}

impl Host {
    /// Parses a host.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the host. A number such as `127.1` is an error: clients rewrite it to `127.0.0.1`, so no
    /// request would ever have that host.
    pub(super) fn parse(host: &str) -> Result<Self, &'static str> {
        if let Some(address) = in_brackets(host) {
            let address = address.parse().map(Self::V6);
            return address.map_err(|_| "has brackets around what is no IPv6 address");
        }
        let name = without_dot(host).to_ascii_lowercase();
        if name.is_empty() {
            return Err("has no host");
        }
        if name.split('.').any(str::is_empty) {
            return Err("has a host with nothing between two dots");
        }
        let last = name.rsplit('.').next().unwrap_or_default();
        let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x");
        if is_number && name.parse::<Ipv4Addr>().is_err() {
            return Err("has a number for a host that is not four decimal ones, as in 127.0.0.1");
        }
        Ok(Self::Name(name))
    }

    /// Returns whether a request's host is this host.
    pub(super) fn is(&self, host: &str) -> bool {
        match self {
            Self::Name(name) => without_dot(host).eq_ignore_ascii_case(name),
            Self::V6(ours) => in_brackets(host).is_some_and(|host| host.parse() == Ok(*ours)),
        }
    }

    /// Returns whether traffic to this host never leaves the machine.
    pub(super) fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => {
                name == "localhost"
                    || name.ends_with(".localhost")
                    || name.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback())
            }
            Self::V6(ip) => ip.is_loopback(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V6(ip) => write!(f, "[{ip}]"),
        }
    }
}

/// Removes the final dot: `host.` and `host` are the same host.
fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

fn in_brackets(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}
