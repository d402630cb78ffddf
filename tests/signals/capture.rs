//! A subscriber that records everything, at TRACE and for every target.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
    sync::{Arc, LazyLock, Mutex},
};

use tracing::{
    Dispatch, Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Registry,
    layer::{Context, Layer, SubscriberExt},
    registry::{LookupSpan, Scope},
};

/// An event, or a span with all its values, including later ones.
#[derive(Clone, Debug)]
pub struct Logged {
    pub level: Level,
    pub target: String,
    pub message: String,
    pub fields: BTreeMap<String, String>,
    /// The spans around it, the outermost first.
    pub spans: Vec<String>,
    /// The spans it follows from.
    pub follows: Vec<String>,
}

impl Logged {
    /// Returns the text of a field. It is empty if there is no such field.
    pub fn get(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", |value| value)
    }

    pub fn lacks(&self, field: &str) -> bool {
        !self.fields.contains_key(field)
    }

    #[track_caller]
    pub fn has_exactly(&self, fields: &[&str]) {
        let names: Vec<_> = self.fields.keys().map(String::as_str).collect();
        assert_eq!(names, fields, "{self:?}");
    }
}

#[derive(Clone, Default)]
pub struct Capture {
    events: Arc<Mutex<Vec<Logged>>>,
    spans: Arc<Mutex<Vec<(Id, Logged)>>>,
}

impl Capture {
    /// Records everything that is logged on this thread, until the guard is dropped.
    pub fn start() -> (Self, DefaultGuard) {
        // With only one subscriber, `tracing` asks the first thread that reaches a callsite. If that thread has no
        // subscriber, the callsite is off for all threads, and tests on other threads would miss events.
        static ANOTHER: LazyLock<[Dispatch; 2]> =
            LazyLock::new(|| [(); 2].map(|()| Dispatch::new(Registry::default())));
        LazyLock::force(&ANOTHER);
        let capture = Self::default();
        let subscriber = Registry::default().with(capture.clone());
        (capture, tracing::subscriber::set_default(subscriber))
    }

    /// Returns what this crate has logged.
    pub fn logged(&self) -> Vec<Logged> {
        let events = self.events.lock().unwrap();
        let ours = events.iter().filter(|l| l.target == "sipher_session");
        ours.cloned().collect()
    }

    pub fn warnings(&self) -> Vec<Logged> {
        let mut logged = self.logged();
        logged.retain(|l| l.level <= Level::WARN);
        logged
    }

    pub fn spans(&self, name: &str) -> Vec<Logged> {
        let spans = self.spans.lock().unwrap();
        let named = spans.iter().filter(|(_, l)| l.message == name);
        named.map(|(_, l)| l.clone()).collect()
    }

    /// Returns everything as text, for every target.
    pub fn everything(&self) -> String {
        let (events, spans) = (self.events.lock().unwrap(), self.spans.lock().unwrap());
        format!("{events:#?} {spans:#?}")
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let meta = attributes.metadata();
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let span = Logged {
            level: *meta.level(),
            target: meta.target().into(),
            message: meta.name().into(),
            fields: fields.0,
            spans: Vec::new(),
            follows: Vec::new(),
        };
        self.spans.lock().unwrap().push((id.clone(), span));
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        record.record(&mut fields);
        let mut spans = self.spans.lock().unwrap();
        // Ids are reused once their span is closed, so this takes the last span with the id.
        let (_, span) = spans.iter_mut().rfind(|(i, _)| i == id).unwrap();
        span.fields.extend(fields.0);
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        let name = context.span(follows).unwrap().name().to_owned();
        let mut spans = self.spans.lock().unwrap();
        let (_, span) = spans.iter_mut().rfind(|(i, _)| i == id).unwrap();
        span.follows.push(name);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let meta = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let scope = context.event_scope(event);
        let spans = scope.into_iter().flat_map(Scope::from_root);
        let logged = Logged {
            level: *meta.level(),
            target: meta.target().into(),
            message: fields.0.remove("message").unwrap_or_default(),
            fields: fields.0,
            spans: spans.map(|span| span.name().to_owned()).collect(),
            follows: Vec::new(),
        };
        self.events.lock().unwrap().push(logged);
    }
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = self.0.entry(field.name().into()).or_default();
        let _ = write!(text, "{value:?}");
    }
}
