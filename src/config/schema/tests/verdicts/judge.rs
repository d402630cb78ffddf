//! A small JSON schema validator with the keywords that our schema uses. Any other keyword fails the test.

use regex_lite::Regex;
use serde_json::Value;

pub(super) struct Judge<'a>(pub(super) &'a Value);

impl Judge<'_> {
    pub(super) fn accepts(&self, value: &Value) -> bool {
        self.fits(self.0, value)
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let rules = schema.as_object().unwrap();
        rules.iter().all(|(keyword, rule)| match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "writeOnly" => true,
            "properties" | "additionalProperties" | "required" => {
                has_members(rules, keyword, value, |rule, member| {
                    self.fits(rule, member)
                })
            }
            "$ref" => self.fits(
                self.0
                    .pointer(rule.as_str().unwrap().trim_start_matches('#'))
                    .unwrap(),
                value,
            ),
            "anyOf" => rule
                .as_array()
                .unwrap()
                .iter()
                .any(|rule| self.fits(rule, value)),
            "not" => !self.fits(rule, value),
            "items" => value
                .as_array()
                .is_none_or(|items| items.iter().all(|item| self.fits(rule, item))),
            "maxItems" => value
                .as_array()
                .is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
            "type" => is_of(rule, value),
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "pattern" => value
                .as_str()
                .is_none_or(|text| Regex::new(rule.as_str().unwrap()).unwrap().is_match(text)),
            "minLength" => value
                .as_str()
                .is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap()),
            "maxLength" => value
                .as_str()
                .is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap()),
            "minimum" => whole(value).is_none_or(|number| number >= whole(rule).unwrap()),
            "maximum" => whole(value).is_none_or(|number| number <= whole(rule).unwrap()),
            _ => panic!("a keyword that the test does not know: {keyword}"),
        })
    }
}

fn has_members(
    rules: &serde_json::Map<String, Value>,
    keyword: &str,
    value: &Value,
    fits: impl Fn(&Value, &Value) -> bool,
) -> bool {
    let Some(members) = value.as_object() else {
        return true;
    };
    let rule = &rules[keyword];
    match keyword {
        "required" => rule
            .as_array()
            .unwrap()
            .iter()
            .all(|name| members.contains_key(name.as_str().unwrap())),
        "additionalProperties" => {
            assert_eq!(rule, false);
            members
                .keys()
                .all(|name| rules["properties"].get(name).is_some())
        }
        _ => members
            .iter()
            .all(|(name, member)| rule.get(name).is_none_or(|rule| fits(rule, member))),
    }
}

fn is_of(kinds: &Value, value: &Value) -> bool {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    kinds == kind
        || kinds
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|it| it == kind))
}

fn whole(value: &Value) -> Option<i128> {
    let negative = value.as_i64().map(i128::from);
    negative.or(value.as_u64().map(i128::from))
}
