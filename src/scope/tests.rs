//! The scope decision, case by case.

use http::Uri;

use super::*;

fn base(url: &str) -> BaseUrl {
    BaseUrl::parse(url, PlainHttp::OnLoopback).unwrap()
}

#[track_caller]
fn assert_scope(base_url: &str, uri: &str, scope: Scope) {
    let parsed: Uri = uri.parse().unwrap();
    let base = base(base_url);
    let found = base.scope(Target::of_uri(&parsed), Unaddressed::Elsewhere);
    assert_eq!(found, scope, "{uri}");
    match Place::of_uri(&parsed).map(|place| base.glance(place)) {
        Some(Glance::Sipher) => assert_eq!(scope, Scope::Sipher, "{uri} at first sight"),
        Some(Glance::Elsewhere) => assert_eq!(scope, Scope::Elsewhere, "{uri} at first sight"),
        Some(Glance::Unclear) | None => {}
    }
}

/// `Unclear` is never wrong, but it costs each such request a closer look.
#[test]
fn what_is_spelt_as_usual_is_clear_at_first_sight() {
    for (base_url, uri, glance) in [
        ("https://host", "https://host/v1/scan", Glance::Sipher),
        (
            "https://host:8443",
            "https://host:8443/v1/scan",
            Glance::Sipher,
        ),
        (
            "http://127.0.0.1:80",
            "http://127.0.0.1/v1/scan",
            Glance::Sipher,
        ),
        ("https://host/a", "https://host/a/v1/scan", Glance::Sipher),
        ("https://host/a", "https://host/a/v1/s.n", Glance::Unclear),
        ("https://host", "https://host/v1/sessions", Glance::Unclear),
        ("https://host", "https://other/v1/scan", Glance::Elsewhere),
        (
            "https://host",
            "https://other:443/v1/scan",
            Glance::Elsewhere,
        ),
    ] {
        let uri: Uri = uri.parse().unwrap();
        let place = Place::of_uri(&uri).unwrap();
        assert_eq!(base(base_url).glance(place), glance, "{uri}");
    }
}

#[test]
fn only_the_origin_of_the_base_url_is_sipher() {
    let base = "https://sipher.sip-protocol.org";
    for ours in [
        "https://sipher.sip-protocol.org/v1/transfer/shield",
        "https://sipher.sip-protocol.org:443/v1/scan",
        "https://sipher.sip-protocol.org:00443/v1/scan",
        "https://sipher.sip-protocol.org:/v1/scan",
        "HTTPS://SIPHER.sip-protocol.ORG/v1/scan",
        "https://sipher.sip-protocol.org./v1/scan",
        "https://sipher.sip-protocol.org//v1/scan",
        "https://sipher.sip-protocol.org/../v1/scan",
        "https://sipher.sip-protocol.org//evil.com/v1/scan",
        // The user info does not change where the request goes.
        "https://user:password@sipher.sip-protocol.org/v1/scan",
        "https://evil.com@sipher.sip-protocol.org/v1/scan",
        "https://evil.com:443@sipher.sip-protocol.org:443/v1/scan",
        "https://evil.com@evil.com@sipher.sip-protocol.org/v1/scan",
    ] {
        assert_scope(base, ours, Scope::Sipher);
    }
    for foreign in [
        "http://sipher.sip-protocol.org/v1/scan",
        "http://sipher.sip-protocol.org:443/v1/scan",
        "ftp://sipher.sip-protocol.org/v1/scan",
        "wss://sipher.sip-protocol.org/v1/scan",
        "https://sipher.sip-protocol.org:80/v1/scan",
        "https://sipher.sip-protocol.org:8443/v1/scan",
        "https://sipher.sip-protocol.org:0/v1/scan",
        "https://sipher.sip-protocol.org:65979/v1/scan", // 443 in 16 bits
        "https://sipher.sip-protocol.org:+443/v1/scan",
        "https://sipher.sip-protocol.org:x/v1/scan",
        "https://sipher.sip-protocol.org../v1/scan",
        "https://.sipher.sip-protocol.org/v1/scan",
        "https://sipher.sip-protocol.org.evil.com/v1/scan",
        "https://evil.sipher.sip-protocol.org/v1/scan",
        "https://evilsipher.sip-protocol.org/v1/scan",
        "https://sipher.sip-protocol.orgs/v1/scan",
        "https://sipher-sip-protocol.org/v1/scan",
        "https://xn--spher-3ve.sip-protocol.org/v1/scan", // with a Cyrillic i
        "https://evil.com/sipher.sip-protocol.org/v1/scan",
        "https://evil.com/@sipher.sip-protocol.org/v1/scan",
        "https://evil.com?@sipher.sip-protocol.org/v1/scan",
        "https://sipher.sip-protocol.org@evil.com/v1/scan",
        "https://sipher.sip-protocol.org:443@evil.com/v1/scan",
        "https://sip-protocol.org/v1/scan",
        "https://[::1]/v1/scan",
    ] {
        assert_scope(base, foreign, Scope::Elsewhere);
    }
}

#[test]
fn a_host_in_other_letters_goes_by_its_punycode() {
    let base = "https://xn--bcher-kva.example";
    assert_scope(base, "https://XN--BCHER-KVA.example/v1/scan", Scope::Sipher);
    assert_scope(base, "https://bucher.example/v1/scan", Scope::Elsewhere);
}

#[test]
fn an_address_is_the_same_in_every_spelling_that_clients_leave_as_it_is() {
    for base in ["http://[::1]:5006", "http://[0:0::0:1]:5006"] {
        for ours in ["[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[::0.0.0.1]"] {
            assert_scope(base, &format!("http://{ours}:5006/v1/scan"), Scope::Sipher);
        }
        for foreign in [
            "[::2]",
            "[::1%25lo]",
            "[::1].",
            "[::ffff:127.0.0.1]",
            "[]",
            "[::1]x",
        ] {
            let url = format!("http://{foreign}:5006/v1/scan");
            // Some of them cannot be parsed as a URI.
            if url.parse::<Uri>().is_ok() {
                assert_scope(base, &url, Scope::Elsewhere);
            }
        }
    }
    let base = "http://127.0.0.1:5006";
    assert_scope(base, "http://127.0.0.1.:5006/v1/scan", Scope::Sipher);
    for foreign in [
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "127.0.0.2",
        "localhost",
    ] {
        assert_scope(
            base,
            &format!("http://{foreign}:5006/v1/scan"),
            Scope::Elsewhere,
        );
    }
}

#[test]
fn a_path_prefix_ends_on_a_border() {
    let base = "https://gateway.example/sipher/";
    for (path, scope) in [
        ("/sipher/v1/scan", Scope::Sipher),
        ("/sipher//v1/scan", Scope::Sipher),
        ("/sipher/v1/.../scan", Scope::Sipher),
        ("/sipher/v1/a.b%2Fc", Scope::Sipher),
        ("/sipher/v1/100%", Scope::Sipher),
        ("/sipher/v1/sessions", Scope::SessionCall),
        ("/sipher", Scope::Public),
        ("/sipher?x=/../", Scope::Public),
        ("/", Scope::Elsewhere),
        ("/siphers/v1/scan", Scope::Elsewhere),
        ("/v1/scan", Scope::Elsewhere),
        ("/Sipher/v1/scan", Scope::Elsewhere),
        ("//sipher/v1/scan", Scope::Elsewhere),
        ("/x/sipher/v1/scan", Scope::Elsewhere),
        ("/%73ipher/v1/scan", Scope::Elsewhere),
        ("/sipher%2Fv1/scan", Scope::Elsewhere),
        ("/sipher\\v1/scan", Scope::Elsewhere),
        ("/sipher/../v1/scan", Scope::Elsewhere),
        ("/sipher/./v1/scan", Scope::Elsewhere),
        ("/sipher/v1/scan/..", Scope::Elsewhere),
        ("/sipher/%2e%2E/x", Scope::Elsewhere),
        ("/sipher/.%2e/x", Scope::Elsewhere),
        ("/sipher/..%2fx", Scope::Elsewhere),
        ("/sipher/x%2F..%2Fx", Scope::Elsewhere),
        ("/sipher/..%5cx", Scope::Elsewhere),
        ("/sipher/..\\x", Scope::Elsewhere),
        ("/sipher\\..\\x", Scope::Elsewhere),
        ("/sipher/..;a=b/x", Scope::Elsewhere),
        ("/sipher/..%3bx/y", Scope::Elsewhere),
    ] {
        assert_scope(base, &format!("https://gateway.example{path}"), scope);
    }
}

#[test]
fn public_paths_and_session_calls_need_no_session() {
    let assert_scope = |path: &str, scope| {
        let base = "http://127.0.0.1:5006";
        assert_scope(base, &format!("{base}{path}"), scope);
    };
    for public in [
        "",
        "/",
        "/docs",
        "/docs/",
        "/docs/swagger-ui.css",
        "/V1/Health",
        "/v1/health/",
        "/v1/ready?x=1",
    ] {
        assert_scope(public, Scope::Public);
    }
    for call in ["/v1/sessions", "/V1/Sessions/", "/v1/sessions/sess_1"] {
        assert_scope(call, Scope::SessionCall);
    }
    for other in [
        "/v1/healthy",
        "/v1/sessionsx",
        "/docs/../v1/scan",
        "/docs/%2e%2e/v1/scan",
        "/docs/..%2fv1/scan",
        "/docsx",
        "/v1/demos",
        "/v1/sessions/../scan",
        "/v1/sessions/%2e%2e/scan",
        "//v1/sessions",
    ] {
        assert_scope(other, Scope::Sipher);
    }
}

#[test]
fn what_does_not_say_where_it_goes_is_sipher_only_if_somebody_said_so() {
    let base = base("https://gateway.example/sipher");
    let scope = |uri: &str, unaddressed| {
        let uri: Uri = uri.parse().unwrap();
        base.scope(Target::of_uri(&uri), unaddressed)
    };
    for (uri, scope_if_said) in [
        ("/v1/scan", Scope::Sipher),
        ("/v1/sessions", Scope::SessionCall),
        ("/v1/health", Scope::Public),
        ("/sipher/v1/health", Scope::Sipher), // a lower layer adds the prefix too
        // If an address is put in front of these, they become another host.
        ("//evil.com/v1/scan", Scope::Elsewhere),
        ("/\\evil.com/v1/scan", Scope::Elsewhere),
        // The forms of `OPTIONS *` and `CONNECT`.
        ("*", Scope::Elsewhere),
        ("gateway.example:443", Scope::Elsewhere),
        ("gateway.example", Scope::Elsewhere),
        // These have an origin of their own.
        ("https://evil.com/sipher/v1/scan", Scope::Elsewhere),
        ("https://gateway.example/v1/scan", Scope::Elsewhere),
    ] {
        assert_eq!(
            scope(uri, Unaddressed::Elsewhere),
            Scope::Elsewhere,
            "{uri}"
        );
        assert_eq!(scope(uri, Unaddressed::Sipher), scope_if_said, "{uri}");
    }
    let ours = "https://gateway.example/sipher/v1/scan";
    assert_eq!(scope(ours, Unaddressed::Sipher), Scope::Sipher);
}

#[test]
fn http_is_for_loopback_unless_it_is_allowed() {
    for (host, is_loopback) in [
        ("127.0.0.1", true),
        ("127.255.255.254:5006", true),
        ("[::1]", true),
        ("[0:0::1]:5006", true),
        ("localhost", true),
        ("LocalHost.:80", true),
        ("sipher.localhost", true),
        ("128.0.0.1", false),
        ("126.255.255.255", false),
        ("10.0.0.1", false),
        ("0.0.0.0", false),
        ("[::]", false),
        ("[::2]", false),
        ("[::ffff:127.0.0.1]", false),
        ("localhost.evil.com", false),
        ("evillocalhost", false),
        ("127.0.0.1.evil.com", false),
        ("sipher.sip-protocol.org", false),
    ] {
        let url = format!("http://{host}");
        let result = BaseUrl::parse(&url, PlainHttp::OnLoopback);
        assert_eq!(result.is_ok(), is_loopback, "{url}");
        BaseUrl::parse(&url, PlainHttp::Anywhere).unwrap();
        BaseUrl::parse(&format!("https://{host}"), PlainHttp::OnLoopback).unwrap();
    }
}

#[test]
fn a_base_url_is_written_as_it_is_joined() {
    for (url, shown) in [
        ("https://Sipher.Example:443/", "https://sipher.example"),
        ("http://127.0.0.1:5006", "http://127.0.0.1:5006"),
        ("http://[::1]:80/a/b/", "http://[::1]/a/b"),
        ("http://[0::0:1]:8080", "http://[::1]:8080"),
    ] {
        let base = base(url);
        assert_eq!(base.to_string(), shown);
        assert_eq!(
            base.join("/v1").unwrap(),
            format!("{shown}/v1").parse::<Uri>().unwrap()
        );
    }
}

#[test]
fn an_alias_is_looked_at_where_the_base_url_does_not_match() {
    let base = base("https://gateway/a");
    let aliases = ["https://gateway/b", "http://localhost", "https://[::1]"];
    let parsed = aliases.map(|url| BaseUrl::parse(url, PlainHttp::OnLoopback).unwrap());
    let aliases = Aliases::new(parsed.to_vec());
    for (uri, glance, scope) in [
        ("https://gateway/a/v1/scan", Glance::Sipher, Scope::Sipher),
        ("https://gateway/b/v1/scan", Glance::Unclear, Scope::Sipher),
        (
            "https://gateway/c/v1/scan",
            Glance::Unclear,
            Scope::Elsewhere,
        ),
        ("http://localhost/v1/health", Glance::Unclear, Scope::Public),
        ("https://[::0001]/v1/scan", Glance::Unclear, Scope::Sipher),
        ("http://localhost/v1/scan", Glance::Sipher, Scope::Sipher),
        (
            "http://localhost/v1/sessions",
            Glance::Unclear,
            Scope::SessionCall,
        ),
        // The alias is an IPv6 address, which has many spellings. So a quick look cannot rule it out.
        ("https://other/v1/scan", Glance::Unclear, Scope::Elsewhere),
    ] {
        let uri: Uri = uri.parse().unwrap();
        let (place, target) = (Place::of_uri(&uri).unwrap(), Target::of_uri(&uri));
        let seen = match base.glance(place) {
            Glance::Elsewhere => aliases.glance(place),
            by_base => by_base,
        };
        let judged = aliases.scope(target, base.scope(target, Unaddressed::Sipher));
        assert_eq!((seen, judged), (glance, scope), "{uri}");
        let is_ours = base.contains(target.unwrap()) || aliases.contains(target.unwrap());
        assert_eq!(is_ours, scope != Scope::Elsewhere, "{uri}");
    }
    let relative = "/b/v1/scan".parse().unwrap();
    let by_base = base.scope(Target::of_uri(&relative), Unaddressed::Elsewhere);
    assert_eq!(
        aliases.scope(Target::of_uri(&relative), by_base),
        Scope::Elsewhere
    );
}
