use serde_json::json;

use super::*;
use crate::api::{Chain, PrivacyLevel};

fn near() -> SessionDefaults {
    SessionDefaults::new().chain(Chain::Near)
}

/// Returns the merged body; `=` if the body lacks nothing, `!` if it is no object.
fn merged_with(defaults: &SessionDefaults, body: impl AsRef<[u8]>) -> Vec<u8> {
    match merge(body.as_ref(), defaults) {
        Merge::Complete => b"=".to_vec(),
        Merge::Merged(body) => body,
        Merge::NotAnObject => b"!".to_vec(),
    }
}

fn merged(body: impl AsRef<[u8]>) -> String {
    String::from_utf8(merged_with(&near(), body)).unwrap()
}

#[test]
fn members_go_in_behind_the_opening_brace_and_all_else_stays() {
    assert_eq!(merged("{}"), r#"{"chain":"near"}"#);
    assert_eq!(merged(" \t\r\n{ } \n"), " \t\r\n{\"chain\":\"near\" } \n");
    assert_eq!(
        merged(r#" { "a" : 1e999 ,"a":-0.0} "#),
        r#" {"chain":"near", "a" : 1e999 ,"a":-0.0} "#
    );
}

#[test]
fn all_defaults_that_are_lacking_go_in_in_the_order_of_serialisation() {
    let defaults = SessionDefaults::new()
        .default_viewing_key("0xfeed")
        .other("zone", json!({"a": [null, 1.5]}))
        .other("colour \"", "rëd\n")
        .privacy_level(PrivacyLevel::Shielded)
        .backend("sip-native".into())
        .rpc_provider("helius".into())
        .chain(Chain::Other("x\"y".into()));
    let all = serde_json::to_string(&defaults).unwrap();
    let all = all.strip_suffix('}').unwrap();
    assert_eq!(merged_with(&defaults, "{}"), format!("{all}}}").as_bytes());
    assert_eq!(
        merged_with(&defaults, r#"{"a":1}"#),
        format!(r#"{all},"a":1}}"#).as_bytes()
    );
    let some = r#"{"zone":0,"chain":1,"backend":2,"colour \"":3}"#;
    let lacking =
        r#"{"privacyLevel":"shielded","rpcProvider":"helius","defaultViewingKey":"0xfeed","#;
    assert_eq!(
        merged_with(&defaults, some),
        format!("{lacking}{}", &some[1..]).as_bytes()
    );
}

#[test]
fn a_key_counts_however_it_is_written_and_whatever_its_value() {
    for body in [
        r#"{"chain":"sui"}"#,
        r#"{"chain":null}"#,
        r#"{"\u0063hain":1}"#,
        r#"{"c\u0068\u0061in" : {"x":[]}}"#,
        r#"{"chain":1,"chain":2}"#,
        r#"{"a":{"chain":1},"chain":[]}"#,
        "\u{feff}{\"chain\":0}",
    ] {
        assert_eq!(merged(body), "=", "{body}");
    }
}

#[test]
fn a_key_that_is_nested_or_spelled_otherwise_does_not_count() {
    for body in [
        r#"{"a":{"chain":"sui"}}"#,
        r#"{"a":[{"chain":"sui"}],"b":"chain"}"#,
        r#"{"Chain":1,"chain ":2,"chai":3,"chains":4,"":5}"#,
        r#"{"\\u0063hain":1}"#,
        r#"{"chain\u0000":1}"#,
        r#"{"__proto__":{"chain":"sui"}}"#,
        r#"{"\ud800chain":1,"chain\udfff":2,"\ud83d\ude00":3}"#,
    ] {
        assert_eq!(merged(body), format!(r#"{{"chain":"near",{}"#, &body[1..]));
    }
}

#[test]
fn nothing_is_an_object_and_one_byte_order_mark_is_nothing() {
    assert_eq!(merged(""), r#"{"chain":"near"}"#);
    assert_eq!(merged("\u{feff}"), "\u{feff}{\"chain\":\"near\"}");
    assert_eq!(merged("\u{feff} {}"), "\u{feff} {\"chain\":\"near\"}");
    for body in [
        "\u{feff}\u{feff}",
        "\u{feff}\u{feff}{}",
        " \u{feff}{}",
        "{}\u{feff}",
    ] {
        assert_eq!(merged(body), "!", "{body:?}");
    }
}

#[test]
fn what_is_not_one_object_is_left_alone() {
    for body in [
        " ",
        "\n",
        "[]",
        "[{}]",
        "null",
        "1",
        "\"x\"",
        "{",
        "}",
        "{}}",
        "{} x",
        "{}{}",
        "{}\0",
        "{'a':1}",
        "{a:1}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":+1}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":NaN}",
        "{\"a\":tru}",
        "{\"a\":[1,]}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"",
        "{\"\\x\":1}",
        "{\"\\u12\":1}",
        "{\"a\n\":1}",
        "{\"chain\u{1}\":1,\"a\":{}}",
        "// c\n{}",
        "\u{a0}{}",
        "\u{b}{}",
        "{\u{a0}}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":[}]}",
        "\u{2028}{}",
    ] {
        assert_eq!(merged(body), "!", "{body:?}");
    }
    assert_eq!(
        merged(r#"{"a\u0000":"\u0001"}"#),
        r#"{"chain":"near","a\u0000":"\u0001"}"#
    );
}

#[test]
fn text_that_is_not_unicode_is_read_as_the_server_reads_it() {
    let body = b"{\"a\xff\":\"\xed\xa0\x80\",\"\xc3\":\"\xf0\x9f\"}";
    let merged = merged_with(&near(), body);
    assert_eq!(merged, [b"{\"chain\":\"near\",", &body[1..]].concat());
    let odd = SessionDefaults::new().other("a\u{fffd}", 1);
    assert_eq!(merged_with(&odd, b"{\"a\xff\":0}"), b"=");
}

#[test]
fn depth_is_no_obstacle() {
    for deep in [
        "[".repeat(10_000) + &"]".repeat(10_000),
        r#"{"chain":"#.repeat(10_000) + "1" + &"}".repeat(10_000),
    ] {
        let body = format!(r#"{{"a":{deep}}}"#);
        assert_eq!(merged(&body), format!(r#"{{"chain":"near",{}"#, &body[1..]));
        assert_eq!(merged(format!(r#"{{"a":{deep},"chain":{deep}}}"#)), "=");
        assert_eq!(merged(format!(r#"{{"a":{deep}"#)), "!");
    }
}

#[test]
fn without_defaults_nothing_is_lacking() {
    for body in ["", "{}", "\u{feff}", r#"{"a":1}"#] {
        assert_eq!(
            merge(body.as_bytes(), &SessionDefaults::new()),
            Merge::Complete
        );
    }
    assert_eq!(merge(b"[]", &SessionDefaults::new()), Merge::NotAnObject);
}

#[test]
fn a_merged_body_lacks_nothing() {
    for body in ["", "{}", r#"{"a":1}"#] {
        assert_eq!(merged_with(&near(), merged(body)), b"=");
    }
}

#[test]
fn a_merged_body_is_not_in_debug() {
    let defaults = SessionDefaults::new().default_viewing_key("0xfeed");
    let shown = format!("{:?}", merge(b"", &defaults));
    assert_eq!(shown, "Merged(30 bytes)");
}
