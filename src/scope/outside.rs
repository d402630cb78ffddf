//! Detects addresses that are not Sipher's and look as if they were meant for it.

use std::net::Ipv4Addr;

use super::{
    BaseUrl,
    host::Host,
    target::{Origin, default_port, without_port},
};

/// The vendor's domain.
const DOMAIN: &[u8] = b"sip-protocol.org";

/// Returns whether a host is the vendor's domain or a name below it.
#[inline]
pub(crate) fn is_vendors(authority: &str) -> bool {
    let host = without_port(authority.as_bytes());
    let host = host.strip_suffix(b".").unwrap_or(host);
    let Some(at) = host.len().checked_sub(DOMAIN.len()) else {
        return false;
    };
    let (before, end) = host.split_at(at);
    // The part before an `@` does not belong to the host.
    end.eq_ignore_ascii_case(DOMAIN) && matches!(before.last(), None | Some(b'.' | b'@'))
}

impl BaseUrl {
    /// Returns whether this URL and the origin are both on this machine, at the same port.
    pub(crate) fn is_beside(&self, origin: &Origin<'_>) -> bool {
        let port = origin.port.unwrap_or(default_port(origin.scheme));
        self.is_loopback() && port == self.port && is_loopback(origin.host)
    }
}

/// Returns whether a host is loopback, in every spelling, also in spellings that a base URL must not have. The
/// unspecified addresses count too: a client that connects to `0.0.0.0` or `[::]` reaches this machine.
fn is_loopback(host: &str) -> bool {
    match Host::parse(host) {
        Ok(Host::V6(ip)) => {
            let mapped = ip.to_ipv4_mapped();
            let is_here = |ip: Ipv4Addr| ip.is_loopback() || ip.is_unspecified();
            ip.is_loopback() || ip.is_unspecified() || mapped.is_some_and(is_here)
        }
        Ok(name) => name.is_loopback() || host == "0.0.0.0",
        // Example: resolvers read `127.1` as `127.0.0.1`.
        Err(_) => host.starts_with("127."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::PlainHttp;

    #[test]
    fn the_vendors_domain_is_known_in_every_spelling() {
        for vendors in [
            "sip-protocol.org",
            "SIP-Protocol.ORG",
            "app.sip-protocol.org",
            "a.b.sip-protocol.org.",
            "sip-protocol.org:8443",
            "sip-protocol.org.:443",
            "user:password@sip-protocol.org",
        ] {
            assert!(is_vendors(vendors), "{vendors}");
        }
        for other in [
            "",
            "org",
            "xsip-protocol.org",
            "sip-protocol.org.evil.com",
            "sip-protocol.org:443@evil.com",
            "sip-protocol.orgs",
            "sip-protocol.org..",
            "sip-protocol.com",
        ] {
            assert!(!is_vendors(other), "{other}");
        }
    }

    #[test]
    fn loopback_is_known_in_every_spelling_and_at_its_port_alone() {
        let base = |url| BaseUrl::parse(url, PlainHttp::Anywhere).unwrap();
        let origin = |host, port| Origin {
            scheme: "http",
            host,
            port,
        };
        let loopback = [
            "localhost",
            "LOCALHOST.",
            "sipher.localhost",
            "127.0.0.1",
            "127.1.2.3",
            "127.1",
            "[::1]",
            "[0:0::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "[::]",
            "[0:0::0]",
        ];
        for host in loopback {
            for url in [
                "http://127.0.0.1:5006",
                "http://[::1]:5006",
                "http://localhost:5006",
            ] {
                assert!(
                    base(url).is_beside(&origin(host, Some(5006))),
                    "{host} {url}"
                );
                assert!(
                    !base(url).is_beside(&origin(host, Some(5007))),
                    "{host} {url}"
                );
                assert!(!base(url).is_beside(&origin(host, None)), "{host} {url}");
            }
            assert!(
                base("http://localhost").is_beside(&origin(host, None)),
                "{host}"
            );
            assert!(!base("http://10.0.0.1:5006").is_beside(&origin(host, Some(5006))));
        }
        for host in ["10.0.0.1", "localhost.evil.com", "[::2]", "1270.0.0.1", ""] {
            let base = base("http://127.0.0.1:5006");
            assert!(!base.is_beside(&origin(host, Some(5006))), "{host}");
        }
    }
}
