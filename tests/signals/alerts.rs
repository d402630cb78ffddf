//! The alert rules for Prometheus: they ask for what is emitted, and say what to do.

use std::collections::{BTreeMap, BTreeSet};

use crate::{emitted::Emitted, promql};

const ALERTS: &str = include_str!("../../docs/observability/alerts.yml");
const TESTS_OF_RULES: &str = include_str!("../../docs/observability/alerts.test.yml");

const NAMES: [&str; 11] = [
    "SipherOutage",
    "SipherSessionsLost",
    "SipherCrowded",
    "SipherQuotaNearlyUsedUp",
    "SipherRequestsWithoutSession",
    "SipherRequestsOutside",
    "SipherWrongDefaults",
    "SipherSessionLeaked",
    "SipherBudgetUsedUp",
    "SipherManyPossibleOrphans",
    "SipherCreatesSlow",
];

/// An alert: its fields by name, its name under `alert`, and the comment before it under `why`.
type Rule = BTreeMap<&'static str, String>;

/// Reads the rules. No YAML but that of the file is known.
fn rules() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let (mut why, mut field) = (String::new(), "");
    let start = ALERTS.find("    rules:\n").unwrap() + "    rules:\n".len();
    for line in ALERTS[start..].lines() {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        if let Some(comment) = text.strip_prefix('#') {
            why += comment;
        } else if let Some(name) = text.strip_prefix("- alert: ") {
            let rule = [("alert", name.to_owned()), ("why", why)];
            rules.push(rule.into());
            why = String::new();
        } else if depth >= 12 || (depth == 10 && field == "expr") {
            rules
                .last_mut()
                .unwrap()
                .entry(field)
                .or_default()
                .extend([" ", text]);
        } else if let Some((key, value)) = text.split_once(':') {
            field = key;
            let value = value.trim().trim_start_matches(['|', '>', '-']);
            rules.last_mut().unwrap().insert(key, value.to_owned());
        }
    }
    rules
}

#[test]
fn every_alert_is_there_with_a_pause_a_severity_and_what_to_do() {
    let names: Vec<_> = rules().iter().map(|rule| rule["alert"].clone()).collect();
    assert_eq!(names, NAMES);
    for rule in rules() {
        let name = &rule["alert"];
        let minutes = rule["for"].strip_suffix('m').map(str::parse::<u32>);
        assert!(matches!(minutes, Some(Ok(_))), "{name}: {}", rule["for"]);
        let severity = rule["severity"].as_str();
        assert!(["critical", "warning"].contains(&severity), "{name}");
        assert!(rule["summary"].len() > 30, "{name}");
        assert!(rule["description"].ends_with('.'), "{name}");
        assert!(rule["description"].matches(". ").count() > 1, "{name}");
        assert!(rule["why"].len() > 80, "{name}: why this threshold?");
        assert!(
            TESTS_OF_RULES.contains(&format!("alertname: {name}\n")),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn every_alert_asks_for_series_that_are_emitted_and_adds_them_up_over_instances() {
    let emitted = Emitted::now().await;
    for rule in rules() {
        let (name, text) = (&rule["alert"], &rule["expr"]);
        let query = promql::read(text);
        assert!(!query.selectors.is_empty(), "{name}");
        emitted.assert_has(&query, text);
        let ranges = query.selectors.iter().filter(|it| it.range.is_some());
        assert_eq!(
            text.matches("sum by (job").count(),
            ranges.count(),
            "{name}"
        );
        // What an alert names must be left after the sum.
        let texts = format!("{} {}", rule["summary"], rule["description"]);
        let used = texts.split("$labels.").skip(1);
        let used = used.map(|rest| rest.split([' ', '}']).next().unwrap().to_owned());
        assert_eq!(used.collect::<BTreeSet<_>>(), query.groups, "{name}");
    }
}

#[test]
fn alerts_name_settings_kinds_and_log_lines_that_exist() {
    let known = [
        include_str!("../../src/guide/configuration.md"),
        include_str!("../../src/guide/errors.md"),
        include_str!("../../src/guide/troubleshooting.md"),
        crate::DOCS,
    ];
    let is_known = |word: &str| known.iter().any(|page| page.contains(&format!("`{word}`")));
    for rule in rules() {
        let text = &rule["description"];
        // Operations and labels are checked with the series.
        let quoted = text.split('"').skip(1).step_by(2);
        for word in quoted.filter(|it| !it.starts_with('%')) {
            assert!(is_known(word), "{}: {word}", rule["alert"]);
        }
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c == '_' || c == '('));
        let settings = words.filter(|word| word.contains('_') && !word.contains('('));
        for setting in settings.filter(|it| *it != "sipher_session") {
            assert!(is_known(setting), "{}: {setting}", rule["alert"]);
        }
    }
}

#[test]
fn the_guide_shows_rules_of_the_file() {
    let guide = include_str!("../../src/guide/observability.md");
    let shown = guide.split("- alert: ").skip(1);
    let shown: Vec<_> = shown.map(|rest| rest.lines().next().unwrap()).collect();
    assert!(shown.len() > 1, "{shown:?}");
    let page = guide.split_once("# Alerts in Prometheus").unwrap().1;
    let block = page.split("```").nth(1).unwrap();
    for line in block
        .lines()
        .skip(1)
        .map(str::trim)
        .filter(|it| !it.is_empty())
    {
        assert!(ALERTS.lines().any(|rule| rule.trim() == line), "{line}");
    }
    for name in NAMES {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}
