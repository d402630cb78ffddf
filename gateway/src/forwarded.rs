//! What Sipher learns of the callers' network: nothing.
//!
//! The rule: what a caller says in `Forwarded`, `X-Forwarded-…` or `X-Real-IP` is removed, and nothing is put in its
//! place. The callers run beside the gateway, so their addresses mean nothing to Sipher, and a made-up address could
//! change how Sipher limits the calls of this machine. `Via` is added, as RFC 9110 demands (section 7.6.3).

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};

/// The name of this gateway in `Via`.
const NAME: &str = "sipher-session-gateway";

/// Removes what a caller says about its network.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let is_one = |name: &HeaderName| {
        let name = name.as_str();
        name == "forwarded" || name == "x-real-ip" || name.starts_with("x-forwarded-")
    };
    let names: Vec<_> = headers
        .keys()
        .filter(|name| is_one(name))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

/// Adds this gateway to the way that a message has come.
pub(crate) fn add_via(headers: &mut HeaderMap, received: Version) {
    let version = match received {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    };
    let value = format!("{version} {NAME}");
    if let Ok(value) = HeaderValue::from_str(&value) {
        // Too many headers to add another: then the way is not noted.
        let _ = headers.try_append(header::VIA, value);
    }
}

/// Returns whether a request has been here before. The upstream of such a gateway is a gateway.
pub(crate) fn came_here_before(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::VIA).into_iter();
    values.any(|value| String::from_utf8_lossy(value.as_bytes()).contains(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_callers_network_is_left() {
        let mut headers = HeaderMap::new();
        for name in [
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-anything",
            "x-real-ip",
        ] {
            headers.append(name, HeaderValue::from_static("192.0.2.1"));
        }
        strip(&mut headers);
        assert!(headers.is_empty(), "{headers:?}");
    }

    #[test]
    fn the_way_is_noted_behind_earlier_stations() {
        let mut headers = HeaderMap::new();
        headers.append(header::VIA, HeaderValue::from_static("1.0 other"));
        assert!(!came_here_before(&headers));
        add_via(&mut headers, Version::HTTP_2);
        let way: Vec<_> = headers.get_all(header::VIA).into_iter().collect();
        assert_eq!(way, ["1.0 other", "2 sipher-session-gateway"]);
        assert!(came_here_before(&headers));
    }
}
