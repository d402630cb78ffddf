//! Decides whether the whole server is out of reach, or `GET /v1/health` alone.
//!
//! A gateway may refuse `/v1/health` and pass on all other calls. To the client this looks like an outage, and requests
//! that wait for the answer would wait until their session expires. So answers to other calls count as well: after one,
//! the server is *there*, and only health is away. If there are none, one session call probes the server.

use std::time::Duration;

use crate::clock::Reading;

/// How long health must be out of reach before a session call probes the server, while no other call has failed. It is
/// short, so that requests which wait get through.
const FIRST: Duration = Duration::from_secs(3);
/// The same, if another call has failed as well, as in an outage. Most restarts are over by then.
const FIRST_IN_OUTAGE: Duration = Duration::from_secs(30);
/// How many questions in a row must fail before health counts as out of reach alone. Earlier, the next question may
/// well be answered, and it is free.
pub(super) const QUESTIONS: u32 = 3;
/// If another process of the fleet reached the server at most this long before health failed here, the server counts as
/// present.
const BELIEVED: Duration = Duration::from_secs(60);

/// What questions and other calls have shown of whether the server can be reached.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// When the first question was asked that did not reach the server. All later ones failed too. `None` while health
    /// answers.
    away_since: Option<Reading>,
    /// How many questions have failed since `away_since`.
    questions: u32,
    /// Whether another call has failed as well.
    is_sign: bool,
    /// The monotonic send times of the last call that the server answered, and of the last call that did not reach it.
    answered: Option<Duration>,
    failed: Option<Duration>,
    /// When a session call last probed whether the server can be reached.
    tried: Option<Reading>,
    /// Whether the server was newly found to be present, and this was not reported yet.
    is_news: bool,
}

impl Presence {
    /// Records that a question asked at `asked` did not reach the server. `is_sign` says whether it was asked because
    /// of a failed call.
    pub(super) fn question_failed(&mut self, asked: Reading, is_sign: bool) {
        let was_there = self.is_there();
        self.away_since.get_or_insert(asked);
        self.questions = self.questions.saturating_add(1);
        self.is_news |= !was_there && self.is_there();
        self.is_sign |= is_sign;
    }

    /// Records that the server answered a call sent at `sent`.
    pub(super) fn call_answered(&mut self, sent: Reading) {
        if self.away_since.is_none() {
            return;
        }
        let was_there = self.is_there();
        self.answered = self.answered.max(Some(sent.monotonic));
        self.is_news |= !was_there && self.is_there();
    }

    /// Returns how old a success of another process of the fleet may be to show that the server is present. Returns
    /// `None` if its presence is not in doubt.
    pub(super) fn believes_for(&self, now: Reading) -> Option<Duration> {
        let since = self.away_since.filter(|_| !self.is_there())?;
        // If a call has failed here, a success from before health was lost shows nothing.
        let before = if self.is_sign {
            Duration::ZERO
        } else {
            BELIEVED
        };
        Some(now.since(since).saturating_add(before))
    }

    /// Records that a metered session call has reached the server, from this process or another of the fleet. That
    /// decides at once that health alone is out of reach, without [`QUESTIONS`] failed questions.
    pub(super) fn was_reached(&mut self, sent: Reading) {
        let since = self.away_since.map(|since| since.monotonic);
        if since.is_some() {
            let was_there = self.is_there();
            self.answered = self.answered.max(since).max(Some(sent.monotonic));
            self.questions = self.questions.max(QUESTIONS);
            self.is_news |= !was_there && self.is_there();
        }
    }

    /// Records that a session call sent at `sent` did not reach the server.
    pub(super) fn call_failed(&mut self, sent: Reading) {
        if self.answered <= Some(sent.monotonic) {
            self.answered = None;
        }
        self.failed = self.failed.max(Some(sent.monotonic));
    }

    /// Returns whether a session call sent after `sent` did not reach the server.
    pub(super) fn has_failed_since(&self, sent: Reading) -> bool {
        self.failed > Some(sent.monotonic)
    }

    /// Returns whether health alone cannot be reached, while the server answers other calls.
    pub(super) fn is_there(&self) -> bool {
        let since = self.away_since.map(|since| since.monotonic);
        let is_answered = since.is_some() && self.answered >= since.max(self.failed);
        is_answered && self.questions >= QUESTIONS
    }

    /// Returns whether health or other calls reach the server.
    pub(super) fn is_reached(&self) -> bool {
        self.away_since.is_none() || self.is_there()
    }

    /// Returns whether a session call should probe the server. The last one must be at least `pause` ago.
    pub(super) fn is_to_try(&self, pause: Duration, now: Reading) -> bool {
        let first = if self.is_sign { FIRST_IN_OUTAGE } else { FIRST };
        let lasts = |since| now.since(since) >= first;
        let is_due = |last| now.since(last) >= pause;
        self.away_since.is_some_and(lasts) && self.tried.is_none_or(is_due)
    }

    pub(super) fn tries(&mut self, now: Reading) {
        self.tried = Some(now);
    }

    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Reading {
        let time = Duration::from_secs(seconds);
        Reading {
            monotonic: time,
            wall: time,
        }
    }

    #[test]
    fn the_server_is_there_once_it_answers_a_call_of_after_the_question_and_until_one_fails() {
        let mut presence = Presence::default();
        presence.call_answered(at(2));
        assert!(!presence.is_there(), "health can be reached");
        for _ in 0..QUESTIONS {
            presence.question_failed(at(2), false);
            assert!(!presence.is_there(), "it was answered before that");
        }
        presence.call_answered(at(1));
        assert!(!presence.is_there(), "it was sent before");
        assert!(!presence.take_news());
        presence.call_answered(at(2));
        assert!(presence.is_there() && presence.take_news() && !presence.take_news());
        presence.question_failed(at(3), false);
        assert!(presence.is_there(), "health alone goes on failing");
        presence.call_failed(at(1));
        assert!(
            presence.is_there(),
            "it was sent before another was answered"
        );
        presence.call_failed(at(4));
        assert!(!presence.is_there());
        presence.call_answered(at(3));
        assert!(!presence.is_there(), "it was sent before another failed");
        presence.call_answered(at(5));
        assert!(presence.is_there() && presence.take_news());
    }

    #[test]
    fn the_next_question_may_be_answered_though_others_calls_are() {
        let mut presence = Presence::default();
        presence.question_failed(at(1), true);
        presence.call_answered(at(2));
        presence.question_failed(at(3), true);
        assert!(!presence.is_there());
        presence.question_failed(at(4), true);
        assert!(presence.is_there() && presence.take_news());
    }

    #[test]
    fn a_session_call_finds_out_soon_or_after_half_a_minute_of_an_outage_and_then_at_its_pace() {
        for (is_sign, expected) in [(false, [103, 403, 703]), (true, [130, 430, 730])] {
            let (mut presence, pause) = (Presence::default(), Duration::from_secs(300));
            assert!(!presence.is_to_try(pause, at(100)));
            presence.question_failed(at(100), false);
            presence.question_failed(at(101), is_sign);
            let tries = (100..800).filter(|now| {
                let tries = presence.is_to_try(pause, at(*now));
                if tries {
                    presence.tries(at(*now));
                }
                tries
            });
            assert_eq!(tries.collect::<Vec<_>>(), expected, "{is_sign}");
        }
    }
}
