//! I13: requests to other hosts of the vendor are counted, and reported once for each origin.

use std::collections::HashSet;

use super::Checker;

#[derive(Default)]
pub(super) struct Outside {
    origins: HashSet<String>,
    sent: u64,
    told: Vec<String>,
}

impl Checker<'_> {
    pub(super) fn sent_outside(&mut self, host: &str) {
        if host.contains("sip-protocol.org") {
            self.outside.sent += 1;
            self.outside.origins.insert(format!("https://{host}"));
        }
    }

    pub(super) fn told_outside(&mut self, origin: &str) {
        if self.outside.told.iter().any(|told| told == origin) {
            self.fails(format!("I13: {origin} was told of twice"));
        }
        self.outside.told.push(origin.to_owned());
    }

    pub(super) fn counted_outside(&mut self, counted: u64) {
        let Outside {
            origins,
            sent,
            told,
        } = &self.outside;
        let all_told = self.late.missed || origins.iter().all(|origin| told.contains(origin));
        if counted != *sent || !all_told {
            let text = format!("I13: {counted} of {sent} counted, {told:?} told of {origins:?}");
            self.fails(text);
        }
    }
}
