//! The server's checks of a request body, with its own error messages.

use serde_json::{Map, Value, json};

use super::answer::Answer;

/// The names of all defaults, in the server's order.
pub(super) const DEFAULTS: [&str; 5] = [
    "chain",
    "privacyLevel",
    "rpcProvider",
    "backend",
    "defaultViewingKey",
];

#[rustfmt::skip]
pub(super) const CHAINS: [&str; 17] = [
    "solana", "ethereum", "polygon", "arbitrum", "optimism", "base", "near", "aptos", "sui", "cosmos", "osmosis",
    "injective", "celestia", "sei", "dydx", "bitcoin", "zcash",
];

/// The same chains in another order, as stealth calls list them.
#[rustfmt::skip]
const STEALTH_CHAINS: [&str; 17] = [
    "solana", "near", "aptos", "sui", "ethereum", "polygon", "arbitrum", "optimism", "base", "bitcoin", "zcash",
    "cosmos", "osmosis", "injective", "celestia", "sei", "dydx",
];

const DEFAULT_TTL: u64 = 3600;

/// Checks the body of a create. Returns the known defaults, and the time to live in seconds.
pub(super) fn create(body: Option<&Value>) -> Result<(Map<String, Value>, u64), Answer> {
    let mut issues = Vec::new();
    let Some(body) = object(body, &[], &mut issues) else {
        return Err(refusal(&issues));
    };
    let defaults = defaults(body, &mut issues);
    let ttl = integer(body, "ttlSeconds", 60, 86_400, &mut issues);
    done((defaults, ttl.unwrap_or(DEFAULT_TTL)), &issues)
}

/// Checks the body of an update. Returns the known defaults.
pub(super) fn update(body: Option<&Value>) -> Result<Map<String, Value>, Answer> {
    let mut issues = Vec::new();
    let defaults = object(body, &[], &mut issues).map(|body| defaults(body, &mut issues));
    done(defaults.unwrap_or_default(), &issues)
}

/// Checks the body of a stealth call. Returns the chain.
pub(super) fn generate(body: Option<&Value>, batch: bool) -> Result<String, Answer> {
    let mut issues = Vec::new();
    let Some(body) = object(body, &[], &mut issues) else {
        return Err(refusal(&issues));
    };
    let chain = body.get("chain");
    if let Some(chain) = chain {
        one_of(chain, &STEALTH_CHAINS, &["chain"], &mut issues);
    }
    if batch {
        match body.get("count") {
            Some(_) => drop(integer(body, "count", 1, 100, &mut issues)),
            None => issues.push(wrong_type("number", None, &["count"])),
        }
    }
    if let Some(label) = body.get("label").filter(|label| !label.is_string()) {
        issues.push(wrong_type("string", Some(label), &["label"]));
    }
    let chain = chain.and_then(Value::as_str).unwrap_or("solana");
    done(chain.to_owned(), &issues)
}

/// Checks the body of a comparison of backends.
pub(super) fn compare(body: Option<&Value>) -> Result<(), Answer> {
    let operations = ["stealth_privacy", "encrypted_compute", "compliance_audit"];
    let mut issues = Vec::new();
    if let Some(body) = object(body, &[], &mut issues) {
        let operation = body.get("operation").unwrap_or(&Value::Null);
        one_of(operation, &operations, &["operation"], &mut issues);
        if let Some(chain) = body.get("chain") {
            one_of(chain, &STEALTH_CHAINS, &["chain"], &mut issues);
        }
    }
    done((), &issues)
}

/// Checks that a body has these fields. Each has the type `string` or `object`.
pub(super) fn fields(body: Option<&Value>, fields: &[(&str, &str)]) -> Result<(), Answer> {
    let mut issues = Vec::new();
    if let Some(body) = object(body, &[], &mut issues) {
        let is_wrong = |name: &str, kind: &str| {
            let value = body.get(name);
            match kind {
                "string" => !value.is_some_and(Value::is_string),
                _ => !value.is_some_and(Value::is_object),
            }
        };
        let wrong = fields.iter().filter(|(name, kind)| is_wrong(name, kind));
        issues.extend(wrong.map(|(name, kind)| wrong_type(kind, body.get(*name), &[name])));
    }
    done((), &issues)
}

fn done<T>(value: T, issues: &[Value]) -> Result<T, Answer> {
    if issues.is_empty() {
        Ok(value)
    } else {
        Err(refusal(issues))
    }
}

fn refusal(issues: &[Value]) -> Answer {
    Answer::error_with(
        400,
        "VALIDATION_ERROR",
        "Invalid request data",
        &json!(issues),
    )
}

/// Returns the known defaults. Silently drops unknown keys.
fn defaults(body: &Map<String, Value>, issues: &mut Vec<Value>) -> Map<String, Value> {
    let mut known = Map::new();
    let Some(given) = object(body.get("defaults"), &["defaults"], issues) else {
        return known;
    };
    for name in DEFAULTS {
        let Some(value) = given.get(name) else {
            continue;
        };
        let path = ["defaults", name];
        match name {
            "chain" => one_of(value, &CHAINS, &path, issues),
            "privacyLevel" => one_of(value, &["standard", "shielded", "maximum"], &path, issues),
            "rpcProvider" => {
                let providers = ["helius", "quicknode", "triton", "generic"];
                one_of(value, &providers, &path, issues);
            }
            "backend" => one_of(value, &["sip-native"], &path, issues),
            _ => viewing_key(value, &path, issues),
        }
        known.insert(name.to_owned(), value.clone());
    }
    known
}

fn object<'a>(
    value: Option<&'a Value>,
    path: &[&str],
    issues: &mut Vec<Value>,
) -> Option<&'a Map<String, Value>> {
    let object = value.and_then(Value::as_object);
    if object.is_none() {
        issues.push(wrong_type("object", value, path));
    }
    object
}

fn one_of(value: &Value, values: &[&str], path: &[&str], issues: &mut Vec<Value>) {
    if value.as_str().is_some_and(|text| values.contains(&text)) {
        return;
    }
    let message = match values {
        [only] => format!("Invalid input: expected \"{only}\""),
        _ => format!(
            "Invalid option: expected one of \"{}\"",
            values.join("\"|\"")
        ),
    };
    issues.push(json!({
        "code": "invalid_value", "values": values, "path": path, "message": message,
    }));
}

fn viewing_key(value: &Value, path: &[&str], issues: &mut Vec<Value>) {
    let Some(text) = value.as_str() else {
        issues.push(wrong_type("string", Some(value), path));
        return;
    };
    let hex = text.strip_prefix("0x").unwrap_or_default();
    if hex.is_empty() || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        issues.push(json!({
            "origin": "string", "code": "invalid_format", "format": "regex", "pattern": "/^0x[0-9a-fA-F]+$/",
            "path": path, "message": "0x-prefixed hex string",
        }));
    }
}

/// Reads a whole number within bounds, if there is one. `60.0` and `6e1` are whole numbers too.
fn integer(
    body: &Map<String, Value>,
    name: &str,
    least: u32,
    most: u32,
    issues: &mut Vec<Value>,
) -> Option<u64> {
    let value = body.get(name)?;
    let path = [name];
    let Some(number) = value.as_f64() else {
        issues.push(wrong_type("number", Some(value), &path));
        return None;
    };
    let issue = if number.fract() != 0.0 {
        json!({
            "expected": "int", "format": "safeint", "code": "invalid_type", "path": path,
            "message": "Invalid input: expected int, received number",
        })
    } else if number < f64::from(least) {
        json!({
            "origin": "number", "code": "too_small", "minimum": least, "inclusive": true, "path": path,
            "message": format!("Too small: expected number to be >={least}"),
        })
    } else if number > f64::from(most) {
        json!({
            "origin": "number", "code": "too_big", "maximum": most, "inclusive": true, "path": path,
            "message": format!("Too big: expected number to be <={most}"),
        })
    } else {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within the bounds
        return Some(number as u64);
    };
    issues.push(issue);
    None
}

fn wrong_type(expected: &str, received: Option<&Value>, path: &[&str]) -> Value {
    let received = match received {
        None => "undefined",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "boolean",
        Some(Value::Number(_)) => "number",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
    };
    let message = format!("Invalid input: expected {expected}, received {received}");
    json!({ "expected": expected, "code": "invalid_type", "path": path, "message": message })
}
