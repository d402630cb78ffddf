//! The dashboard for Grafana: it asks for what is emitted, shows all of it, and can be read.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    emitted::{Emitted, OF_TARGETS},
    promql::{self, Query},
};

const DASHBOARD: &str = include_str!("../../docs/observability/dashboard.json");
/// Grafana's grid has so many columns.
const COLUMNS: u64 = 24;

fn dashboard() -> Value {
    serde_json::from_str(DASHBOARD).unwrap()
}

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().unwrap()
}

fn is_row(panel: &Value) -> bool {
    panel["type"] == "row"
}

/// The queries of a panel, with their texts and their legends.
fn queries(panel: &Value) -> Vec<(Query, &str, &str)> {
    let targets = panel["targets"].as_array().unwrap().iter();
    targets
        .map(|target| {
            let text = target["expr"].as_str().unwrap();
            (
                promql::read(text),
                text,
                target["legendFormat"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn every_query_of_the_dashboard_asks_for_series_that_are_emitted() {
    let (emitted, dashboard) = (Emitted::now().await, dashboard());
    for panel in panels(&dashboard).iter().filter(|it| !is_row(it)) {
        for (query, text, legend) in queries(panel) {
            emitted.assert_has(&query, text);
            // Each panel shows what was chosen above, and nothing else.
            for selector in &query.selectors {
                for label in OF_TARGETS {
                    let chosen = format!("${label}");
                    let is_chosen = |it: &promql::Matcher| {
                        (&*it.label, &*it.operator, &*it.value) == (label, "=~", &*chosen)
                    };
                    assert!(selector.matchers.iter().any(is_chosen), "{label}: {text}");
                }
            }
            let shown = legend.split("{{").skip(1);
            for label in shown.map(|rest| rest.split("}}").next().unwrap()) {
                assert!(query.groups.contains(label), "{legend}: {text}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_metric_has_a_panel() {
    let (emitted, dashboard) = (Emitted::now().await, dashboard());
    let panels = panels(&dashboard).iter().filter(|it| !is_row(it));
    let queries = panels.flat_map(queries).map(|(query, ..)| query);
    let series = queries.flat_map(|query| query.selectors);
    let shown: BTreeSet<_> = series
        .map(|it| emitted.metric_of(&it.metric).to_owned())
        .collect();
    let metrics: BTreeSet<_> = emitted.metrics.into_keys().collect();
    assert_eq!(shown, metrics);
}

#[test]
fn every_panel_has_an_id_of_its_own_a_title_a_description_and_a_unit() {
    let dashboard = dashboard();
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    let is_text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    for panel in panels(&dashboard) {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(is_text(&panel["title"]), "{panel}");
        if is_row(panel) {
            continue;
        }
        let title = panel["title"].as_str().unwrap();
        assert!(titles.insert(title), "{title}: twice");
        let description = panel["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{title}: {description}");
        let defaults = &panel["fieldConfig"]["defaults"];
        assert!(is_text(&defaults["unit"]), "{title}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        let needs_buckets = panel["targets"].to_string().contains("_bucket");
        let says_so = description.contains("Needs buckets");
        assert_eq!(needs_buckets, says_so, "{title}");
    }
    assert!(titles.len() > 15, "{titles:?}");
}

#[test]
fn every_variable_that_the_dashboard_uses_is_one_of_its_own_or_of_grafanas() {
    let dashboard = dashboard();
    assert!(dashboard["schemaVersion"].as_u64() >= Some(39));
    let list = dashboard["templating"]["list"].as_array().unwrap();
    let mut names: BTreeSet<_> = list.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "instance", "job", "quota"].into());
    names.insert("__rate_interval");
    names.insert("__all");
    for rest in DASHBOARD.split('$').skip(1) {
        let rest = rest.trim_start_matches('{');
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let name = &rest[..end.unwrap()];
        assert!(names.contains(name), "{name}");
    }
}

#[test]
fn no_panel_of_the_dashboard_covers_another_or_leaves_the_grid() {
    let dashboard = dashboard();
    let mut cells = BTreeSet::new();
    for panel in panels(&dashboard) {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        let (x, y) = (at("x")..at("x") + at("w"), at("y")..at("y") + at("h"));
        assert!(
            x.end <= COLUMNS && !x.is_empty() && !y.is_empty(),
            "{panel}"
        );
        for cell in y.flat_map(|y| x.clone().map(move |x| (x, y))) {
            assert!(cells.insert(cell), "{cell:?}: {}", panel["title"]);
        }
    }
    // A row takes whatever is below it, so each panel must be below the row that it belongs to in the list.
    let tops = panels(&dashboard)
        .iter()
        .map(|panel| panel["gridPos"]["y"].as_u64().unwrap());
    assert!(tops.is_sorted());
}
