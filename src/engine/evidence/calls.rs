//! Decides what other calls say about the server while `GET /v1/health` says nothing or cannot be reached.
//!
//! A word is *foregone* if it is certain what the next call of `GET /v1/health` will bring. *Well since* is the time
//! since which the server has answered calls again after one had failed.

use std::time::Duration;

use super::{
    Evidence, Question,
    presence::{Presence, QUESTIONS},
};
use crate::{api::Word, clock::Reading, model::evidence::Cause};

/// If `GET /v1/health` says nothing useful for longer than this, that is not because of a restart. Example: a gateway
/// answers it with a page of its own, always.
const SETTLED: Duration = Duration::from_secs(60);

impl Evidence {
    /// Notes whether a question reached the server, and whether its answer was useful.
    pub(super) fn note_presence(&mut self, question: Question, word: Word) {
        let (since, questions) = self.silent.unwrap_or((question.asked, 0));
        let is_silent = word == Word::Silent;
        self.silent = is_silent.then_some((since, questions.saturating_add(1)));
        match word {
            Word::Says(_) => {
                if !self.presence.has_failed_since(question.asked) {
                    self.well_since.get_or_insert(question.asked.monotonic);
                }
                self.presence = Presence::default();
                self.failed = None;
            }
            Word::Away => self
                .presence
                .question_failed(question.asked, self.failed.is_some()),
            Word::Silent => {}
        }
    }

    /// Records that the server has answered a call that was sent at `sent`.
    pub(crate) fn call_answered(&mut self, sent: Reading) {
        let is_later = |failed: &Reading| failed.monotonic > sent.monotonic;
        self.failed = self.failed.filter(is_later);
        self.presence.call_answered(sent);
        self.answered = self.answered.max(Some(sent.monotonic));
        if self.failed.is_none() && !self.presence.has_failed_since(sent) {
            self.well_since.get_or_insert(sent.monotonic);
        }
    }

    /// Records that a session call sent at `sent` did not reach the server.
    pub(crate) fn call_failed(&mut self, sent: Reading) {
        if self.answered <= Some(sent.monotonic) {
            self.well_since = None;
        }
        self.presence.call_failed(sent);
    }

    /// Returns whether the server answers health or other calls, as far as is known.
    pub(crate) fn is_reached(&self) -> bool {
        self.presence.is_reached()
    }

    /// Returns whether sessions may stay in use, in doubt, while no answer tells what became of them. That needs a
    /// server that answers other calls, and no sign as the cause of the last question.
    pub(crate) fn may_go_on_untold(&self) -> bool {
        self.last_cause < Cause::Sign && self.is_reached()
    }

    /// Returns whether a failed session call in place of the question tells nothing new. That is so if answers to other
    /// calls have shown that health alone is out of reach.
    pub(crate) fn says_no_more(&self) -> bool {
        !self.is_told && self.presence.is_there()
    }

    /// Returns what the next question will bring, if that is certain. A request then need not wait for that question.
    ///
    /// Example: a gateway never passes `/v1/health` on, but all other calls. Three questions have failed, and so will
    /// the next one.
    ///
    /// Nothing is certain while a question is under way. Nor is it after a failed call: the server may be restarting,
    /// and health may answer once it is up. So a question must have been asked since the server answers calls again.
    pub(crate) fn foregone_word(&self, now: Reading) -> Option<Word> {
        let is_settled = |(since, questions): (Reading, u32)| {
            questions >= QUESTIONS && now.since(since) >= SETTLED
        };
        let is_asked = |since| self.breaks.last() >= Some(since);
        if self.asking.is_some() || !self.well_since.is_some_and(is_asked) {
            None
        } else if self.presence.is_there() {
            Some(Word::Away)
        } else {
            self.silent
                .filter(|it| is_settled(*it))
                .map(|_| Word::Silent)
        }
    }

    /// Returns whether health alone cannot be reached.
    pub(crate) fn is_health_alone_away(&self) -> bool {
        self.presence.is_there()
    }

    /// Returns whether the server was newly found to answer other calls while health is out of reach. Returns `true`
    /// once.
    pub(crate) fn take_news_of_presence(&mut self) -> bool {
        self.presence.take_news()
    }
}
