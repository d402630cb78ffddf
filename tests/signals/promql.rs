//! Reads queries of Prometheus, as far as needed to know which series they ask for.

use std::collections::BTreeSet;

const FUNCTIONS: [&str; 6] = [
    "histogram_quantile",
    "increase",
    "max",
    "rate",
    "sum",
    "vector",
];
const OPERATORS: [&str; 3] = ["and", "or", "unless"];

/// What a query asks for.
#[derive(Debug, Default)]
pub struct Query {
    pub selectors: Vec<Selector>,
    /// The labels that it groups by.
    pub groups: BTreeSet<String>,
}

#[derive(Debug)]
pub struct Selector {
    pub metric: String,
    pub matchers: Vec<Matcher>,
    /// The function that takes a range of this series, if one does.
    pub range: Option<String>,
}

#[derive(Debug)]
pub struct Matcher {
    pub label: String,
    pub operator: String,
    pub value: String,
}

/// Reads a query. Panics if it uses what this reader does not know.
pub fn read(text: &str) -> Query {
    let mut rest = tokens(text).into_iter().peekable();
    let mut query = Query::default();
    let mut function = None;
    while let Some(token) = rest.next() {
        if token == "by" {
            let inside = rest.by_ref().skip(1).take_while(|token| token != ")");
            query.groups.extend(inside.filter(|token| token != ","));
        } else if FUNCTIONS.contains(&token.as_str()) {
            function = Some(token);
        } else if token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && !OPERATORS.contains(&token.as_str())
        {
            let has_braces = rest.next_if_eq("{").is_some();
            let inside: Vec<_> = if has_braces {
                rest.by_ref().take_while(|token| token != "}").collect()
            } else {
                Vec::new()
            };
            let is_range = rest.next_if(|next| next.starts_with('[')).is_some();
            query.selectors.push(Selector {
                metric: token,
                matchers: inside
                    .split(|token| token == ",")
                    .filter(|tokens| !tokens.is_empty())
                    .map(matcher)
                    .collect(),
                range: function.take().filter(|_| is_range),
            });
        }
    }
    query
}

fn matcher(tokens: &[String]) -> Matcher {
    let [label, operator, value] = tokens else {
        panic!("no matcher: {tokens:?}");
    };
    let value = value.strip_prefix('"').unwrap().strip_suffix('"').unwrap();
    Matcher {
        label: label.clone(),
        operator: operator.clone(),
        value: value.to_owned(),
    }
}

/// Cuts a query into words, numbers, strings, ranges and signs.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => rest[1..].find('"').unwrap() + 2,
            '[' => rest.find(']').unwrap() + 1,
            c if is_of_word(c) => rest.find(|c| !is_of_word(c)).unwrap_or(rest.len()),
            '=' | '!' | '<' | '>' => 1 + usize::from(rest[1..].starts_with(['=', '~'])),
            _ => 1,
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token.to_owned());
        rest = after.trim_start();
    }
    tokens
}

/// A variable of Grafana counts as a word, and so does a number.
fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_:$.".contains(c)
}

#[test]
fn a_query_is_read_with_its_metrics_labels_and_groups() {
    let query =
        read(r#"sum by (job, le) (rate(a{x="1", y=~"$y"}[5m])) > 0.5 * (b unless c_total)"#);
    let metrics: Vec<_> = query.selectors.iter().map(|it| &*it.metric).collect();
    assert_eq!(metrics, ["a", "b", "c_total"]);
    let matchers = &query.selectors[0].matchers;
    let matchers: Vec<_> = matchers
        .iter()
        .map(|it| (&*it.label, &*it.operator, &*it.value))
        .collect();
    assert_eq!(matchers, [("x", "=", "1"), ("y", "=~", "$y")]);
    assert_eq!(query.selectors[0].range.as_deref(), Some("rate"));
    assert_eq!(query.selectors[1].range, None);
    assert_eq!(query.groups, ["job", "le"].map(str::to_owned).into());
}
