//! Compares our scope decision with another URL parser. If we call a URL Sipher's, it must also be Sipher's for clients
//! that parse URLs like browsers and `reqwest`.
//!
//! `SCOPE_SEEDS=100000` draws more URLs. `SCOPE_SEED=<seed>` repeats one of them.

use std::env;

use fastrand::Rng;
use http::Uri;
use url::Url;

use super::*;

const SEEDS: u64 = 20_000;

const BASES: [&str; 7] = [
    "https://sipher.sip-protocol.org",
    "https://sipher.sip-protocol.org:8443/",
    "https://gateway.example/sipher",
    "https://xn--bcher-kva.example/a/b/",
    "http://127.0.0.1:5006",
    "http://[::1]:5006/sipher",
    "http://localhost",
];
const SCHEMES: [&str; 9] = [
    "https://", "https://", "http://", "HTTPS://", "hTTp://", "https:/", "//", "", "ws://",
];
const USER_INFO: [&str; 8] = [
    "user@",
    "user:pass@",
    "a@b@",
    "evil.com:443@",
    "[::1]@",
    "%40@",
    "@",
    "sipher.sip-protocol.org@",
];
const HOSTS: [&str; 28] = [
    "sipher.sip-protocol.org",
    "sipher.sip-protocol.org",
    "SIPHER.SIP-protocol.org",
    "sipher.sip-protocol.org.evil.com",
    "evil.com",
    "sip-protocol.org",
    "gateway.example",
    "gateway.example",
    "xn--bcher-kva.example",
    "XN--bcher-KVA.example",
    "bücher.example",
    "127.0.0.1",
    "127.1",
    "0x7f000001",
    "2130706433",
    "0177.0.0.1",
    "127.0.0.01",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::0.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::1%25lo]",
    "[::1",
    "localhost",
    "LOCALHOST",
    "local%68ost",
    "sipher%2esip-protocol.org",
    "",
];
const AFTER_HOSTS: [&str; 20] = [
    "",
    "",
    "",
    ".",
    "..",
    ":443",
    ":80",
    ":5006",
    ":8443",
    ":",
    ":0",
    ":00443",
    ":+443",
    ":65979",
    ":443.",
    ":x",
    ".evil.com",
    "\\.evil.com",
    "%00",
    ":5006:5006",
];
const PATHS: [&str; 26] = [
    "/",
    "/sipher",
    "/a/b",
    "/v1",
    "/scan",
    "/sessions",
    "/health",
    "//",
    "/..",
    "/.",
    "\\..",
    "/%2e%2e",
    "/.%2E",
    "%2f..",
    "/..%5c",
    "/..;x",
    "%",
    "/%",
    "\\",
    "/sipher/..",
    "@evil.com",
    "/a",
    "x",
    "?q=/../",
    "#/../",
    "*",
];

const ODD: [&str; 13] = [
    "@", ":", "/", "\\", "%", ".", "[", "]", "?", "#", "é", "\t", "0",
];

/// Joins random parts into text that looks like a URL below `base_url`.
fn draw(rng: &mut Rng, base_url: &str) -> String {
    let pick = |rng: &mut Rng, parts: &[&'static str]| parts[rng.usize(..parts.len())];
    let mut url = if rng.bool() {
        base_url.to_owned()
    } else {
        let mut url = pick(rng, &SCHEMES).to_owned();
        if rng.u8(..4) == 0 {
            url += pick(rng, &USER_INFO);
        }
        url + pick(rng, &HOSTS) + pick(rng, &AFTER_HOSTS)
    };
    for _ in 0..rng.usize(..5) {
        url += pick(rng, &PATHS);
    }
    // Sometimes replace one character with an odd one.
    if rng.u8(..4) == 0 {
        let odd = pick(rng, &ODD);
        let at = rng.usize(..=url.chars().count());
        let after = url.chars().skip(at + 1);
        url = url
            .chars()
            .take(at)
            .chain(odd.chars())
            .chain(after)
            .collect();
    }
    url
}

/// Returns what the other parser says: the URL has the same scheme, host and port, and its normalised path is below the
/// base.
fn agrees(base: &str, url: &str) -> bool {
    let (Ok(base), Ok(url)) = (Url::parse(base), Url::parse(url)) else {
        return false;
    };
    let host = |url: &Url| {
        let host = url.host_str().unwrap_or_default();
        host.strip_suffix('.').unwrap_or(host).to_owned()
    };
    let prefix = base.path().trim_end_matches('/');
    let below = url.path().strip_prefix(prefix);
    base.scheme() == url.scheme()
        && host(&base) == host(&url)
        && base.port_or_known_default() == url.port_or_known_default()
        && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// Checks one drawn URL in the form that each kind of client uses. Returns in how many forms the URL counted as
/// Sipher's.
fn judge(seed: u64) -> usize {
    let rng = &mut Rng::with_seed(seed);
    let base_url = BASES[rng.usize(..BASES.len())];
    let base = BaseUrl::parse(base_url, PlainHttp::OnLoopback).unwrap();
    let drawn = draw(rng, base_url);
    let is_ours =
        |uri: &Uri, unaddressed| base.scope(Target::of_uri(uri), unaddressed) != Scope::Elsewhere;
    let mut ours = 0;
    let mut check = |is_ours: bool, agrees: bool| {
        ours += usize::from(is_ours);
        assert!(
            agrees || !is_ours,
            "SCOPE_SEED={seed}: {drawn} is taken for a URL below {base_url}"
        );
    };
    if let Ok(uri) = drawn.parse() {
        let glanced = match Place::of_uri(&uri).map(|place| base.glance(place)) {
            Some(Glance::Sipher) => Some(Scope::Sipher),
            Some(Glance::Elsewhere) => Some(Scope::Elsewhere),
            Some(Glance::Unclear) | None => None,
        };
        let scope = base.scope(Target::of_uri(&uri), Unaddressed::Elsewhere);
        let is_seen = |seen| assert_eq!(scope, seen, "SCOPE_SEED={seed}: {drawn}");
        glanced.into_iter().for_each(is_seen);
        check(
            is_ours(&uri, Unaddressed::Elsewhere),
            agrees(base_url, &drawn),
        );
        // A lower layer may join the relative URI with an address. The result must not be at another origin.
        let joined = Url::parse(base_url).unwrap().join(&drawn);
        let origin = joined.map(|url| url.origin().ascii_serialization());
        let stays = origin.is_ok_and(|origin| agrees(&origin, base_url));
        let is_unaddressed = uri.authority().is_none() && uri.scheme().is_none();
        if is_unaddressed {
            check(is_ours(&uri, Unaddressed::Sipher), stays);
        }
    }
    if let Ok(url) = Url::parse(&drawn) {
        // The form in which `reqwest` sends it.
        if let Ok(uri) = url.as_str().parse() {
            check(
                is_ours(&uri, Unaddressed::Elsewhere),
                agrees(base_url, &drawn),
            );
        }
    }
    ours
}

#[test]
fn what_is_called_sipher_is_sipher_to_a_client_that_reads_urls_in_another_way() {
    let number = |name| env::var(name).ok().map(|seed| seed.parse::<u64>().unwrap());
    let seeds = match number("SCOPE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SCOPE_SEEDS").unwrap_or(SEEDS),
    };
    let drawn = seeds.end - seeds.start;
    let ours: usize = seeds.map(judge).sum();
    // If almost no URL is Sipher's, the test checks nothing.
    assert!(drawn < SEEDS || ours > 1_000, "{ours} of {drawn}");
}
