//! The series that the crate really emits, as an exporter shows them.

use std::collections::{BTreeMap, BTreeSet};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

use crate::{
    promql::{Query, Selector},
    support::Setup,
};

/// The labels that Prometheus adds for each target.
pub const OF_TARGETS: [&str; 2] = ["instance", "job"];

/// The values of each label of each series. A histogram has three series.
pub type Labels = BTreeMap<String, BTreeSet<String>>;

#[derive(Debug)]
pub struct Emitted {
    /// By the name of the series.
    pub series: BTreeMap<String, Labels>,
    /// The type of each metric.
    pub metrics: BTreeMap<String, String>,
}

impl Emitted {
    /// Runs a manager, and reads the page that Prometheus would get.
    pub async fn now() -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(
                Matcher::Suffix("create_duration_seconds".into()),
                &[0.05, 30.0],
            )
            .unwrap()
            .build_recorder();
        let _recording = metrics::set_default_local_recorder(&recorder);
        let manager = Setup::new().manager();
        manager.session().await.unwrap();
        let page = recorder.handle().render();
        let mut emitted = Self {
            series: BTreeMap::new(),
            metrics: BTreeMap::new(),
        };
        for line in page.lines().filter(|line| !line.is_empty()) {
            emitted.add(line);
        }
        emitted
    }

    fn add(&mut self, line: &str) {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').unwrap();
            self.metrics.insert(name.to_owned(), kind.to_owned());
        } else if !line.starts_with('#') {
            let (series, _) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let known = self.series.entry(name.to_owned()).or_default();
            let labels = labels.trim_end_matches('}').split(',');
            for label in labels.filter(|it| !it.is_empty()) {
                let (label, value) = label.split_once('=').unwrap();
                let value = value.trim_matches('"').to_owned();
                known.entry(label.to_owned()).or_default().insert(value);
            }
        }
    }

    /// Panics if a query asks for a series that does not exist, or treats a gauge as a counter or the reverse.
    #[track_caller]
    pub fn assert_has(&self, query: &Query, text: &str) {
        for selector in &query.selectors {
            self.assert_has_series(selector, text);
        }
        let labels = |name: &String| {
            let has = |it: &Selector| self.series[&it.metric].contains_key(name);
            OF_TARGETS.contains(&name.as_str()) || query.selectors.iter().all(has)
        };
        assert!(
            query.groups.iter().all(labels),
            "{:?}: {text}",
            query.groups
        );
    }

    #[track_caller]
    fn assert_has_series(&self, selector: &Selector, text: &str) {
        let metric = &selector.metric;
        let Some(labels) = self.series.get(metric) else {
            panic!("no series {metric}: {text}");
        };
        for matcher in &selector.matchers {
            let label = matcher.label.as_str();
            if OF_TARGETS.contains(&label) {
                continue;
            }
            let Some(values) = labels.get(label) else {
                panic!("{metric} has no label {label}: {text}");
            };
            for value in matcher.value.split('|') {
                assert!(values.contains(value), "{label}={value}: {text}");
            }
        }
        // A counter makes sense as a difference only, and a gauge as it is.
        let is_gauge = self.metrics.get(metric).is_some_and(|it| it == "gauge");
        let range = selector.range.as_deref();
        assert_eq!(range.is_none(), is_gauge, "{metric}: {text}");
        let is_difference = range.is_none_or(|it| ["increase", "rate"].contains(&it));
        assert!(is_difference, "{metric}: {text}");
    }

    /// The metric that a series belongs to.
    pub fn metric_of<'a>(&self, series: &'a str) -> &'a str {
        let ends = ["_bucket", "_count", "_sum"];
        let mut stems = ends.iter().filter_map(|end| series.strip_suffix(end));
        stems
            .find(|stem| self.metrics.contains_key(*stem))
            .unwrap_or(series)
    }
}
