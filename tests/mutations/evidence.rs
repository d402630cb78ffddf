//! Faults in the evidence that the server's process still knows the sessions.

use crate::list::{
    By::{Life, Production, Scenario, Test},
    Mutation,
};

pub(crate) const OF_EVIDENCE: &[Mutation] = &[
    Mutation {
        name: "the_window_is_never_looked_at",
        invariant: "I12",
        by: Production(55),
        file: "src/driver/inquiry.rs",
        old: "let stamp = Stamp::of(headers);",
        new: "let stamp = Stamp::of(headers).filter(|_| received.monotonic < sent.monotonic);",
    },
    Mutation {
        name: "a_health_answer_is_believed_although_the_boot_is_later",
        invariant: "I12",
        by: Production(7),
        file: "src/engine/evidence/health.rs",
        old: "    let restarted = health.boot > made.known_at + ROUNDED;",
        new: "    let known_at = health.timestamp;\n    let made = &Made { known_at, ..*made };\n    let restarted = health.boot > made.known_at + ROUNDED;",
    },
    Mutation {
        name: "the_health_question_is_asked_without_bound",
        invariant: "I8",
        by: Test {
            target: "evidence",
            name: "connections_that_break_one_after_another_are_asked_about_ever_more_seldom",
        },
        file: "src/driver/question.rs",
        old: "            && self.inquiry.is_due(self.now())\n",
        new: "",
    },
    Mutation {
        name: "each_process_of_a_fleet_asks_for_itself",
        invariant: "I8",
        by: Scenario("processes_that_meet_a_restart_together_ask_once_and_make_one_session"),
        file: "src/driver/fleet/inquiry.rs",
        old: "self.common_slot(core, Kind::Health)?",
        new: "self.common_slot(core, Kind::Health).filter(|_| false)?",
    },
    Mutation {
        name: "a_session_that_is_gone_is_news_again_and_again",
        invariant: "I8",
        by: Test {
            target: "lib",
            name: "a_session_that_is_gone_is_told_of_once_and_does_not_keep_later_signs_from_being_damped",
        },
        file: "src/engine/evidence/fates.rs",
        old: "!self.gone.contains(&key)",
        new: "!self.gone.contains(&(made.at, made.at))",
    },
    Mutation {
        name: "a_sign_that_only_the_sessions_could_judge_damps_nothing",
        invariant: "I8",
        by: Test {
            target: "lib",
            name: "a_sign_that_only_the_sessions_could_judge_damps_the_next_once_one_is_there",
        },
        file: "src/engine/evidence/mod.rs",
        old: "if let Some(cause) = self.unclear.take() {",
        new: "if let Some(cause) = self.unclear.take().filter(|_| self.asking.is_some()) {",
    },
    Mutation {
        name: "several_boots_count_as_one",
        invariant: "I12",
        by: Production(67),
        file: "src/engine/evidence/health.rs",
        old: "        !self.is_only_one_since(then)\n",
        new: "        !self.is_only_one_since(then) && self.seen.is_empty()\n",
    },
    Mutation {
        name: "a_sign_holds_nobody",
        invariant: "I1",
        by: Life(26),
        file: "src/engine/evidence/reaction.rs",
        old: "            Cause::Sign | Cause::Broken => Reaction::Hold,\n",
        new: "            Cause::Sign | Cause::Broken => Reaction::Ask,\n",
    },
    Mutation {
        name: "a_false_alarm_is_not_damped",
        invariant: "I8",
        by: Test {
            target: "lib",
            name: "a_false_alarm_damps_the_next_ones_and_they_are_made_up_for",
        },
        file: "src/engine/evidence/reaction.rs",
        old: "            Cause::Sign if self.is_damped(now) => Reaction::Nothing,\n",
        new: "            Cause::Sign if self.is_damped(now) && self.verdict.is_none() => Reaction::Nothing,\n",
    },
    Mutation {
        name: "an_answer_from_before_the_sign_is_believed",
        invariant: "I12",
        by: Test {
            target: "lib",
            name: "an_answer_from_before_the_sign_decides_nothing",
        },
        file: "src/engine/evidence/verdict.rs",
        old: ".filter(|verdict| verdict.question.signs >= signs)?;",
        new: ".filter(|verdict| verdict.question.signs >= signs || signs > 0)?;",
    },
    Mutation {
        name: "a_window_that_begins_later_counts_as_the_older_one",
        invariant: "I12",
        by: Test {
            target: "lib",
            name: "a_window_that_begins_before_the_older_one_has_ended_is_new_beside_it",
        },
        file: "src/engine/evidence/window.rs",
        old: "        first <= self.ends.1 && self.ends.0 <= last\n",
        new: "        first <= first && self.ends.0 <= last\n",
    },
    Mutation {
        name: "evidence_ages_by_the_monotonic_clock_alone",
        invariant: "I12",
        by: Test {
            target: "lib",
            name: "evidence_ages_by_both_clocks",
        },
        file: "src/engine/evidence/reaction.rs",
        old: "        let left = |proven| self.verify_after.saturating_sub(now.since(proven));\n",
        new: "        let age = |then: Reading| now.monotonic.saturating_sub(then.monotonic);\n        let left = |proven| self.verify_after.saturating_sub(age(proven));\n",
    },
    Mutation {
        name: "a_session_is_asked_for_each_time_that_health_says_nothing",
        invariant: "I8",
        by: Test {
            target: "lib",
            name: "where_health_says_nothing_one_session_is_asked_for_in_five_minutes",
        },
        file: "src/engine/evidence/verdict.rs",
        old: "if is_due(self.metered, METERED, now) {",
        new: "if is_due(self.metered, Duration::ZERO, now) {",
    },
    Mutation {
        name: "a_create_beside_older_sessions_confirms_its_window",
        invariant: "I12",
        by: Test {
            target: "lib",
            name: "a_create_beside_older_sessions_proves_nothing_for_them",
        },
        file: "src/engine/evidence/answers.rs",
        old: "Some(stamp) if !is_first => return",
        new: "Some(stamp) if !is_first && self.verdict.is_some() => return",
    },
    Mutation {
        name: "what_is_said_of_one_session_clears_all",
        invariant: "I12",
        by: Test {
            target: "lib",
            name: "what_is_said_of_one_session_does_not_bring_back_those_that_were_gone_before",
        },
        file: "src/engine/evidence/verdict.rs",
        old: "            _ if self.was_gone(made) => Fate::Gone,\n",
        new: "            _ if self.was_gone(made) && signs == 0 => Fate::Gone,\n",
    },
    Mutation {
        name: "as_many_calls_left_fit_a_window",
        invariant: "I12",
        by: Test {
            target: "lib",
            name: "two_answers_of_one_window_never_have_as_many_calls_left",
        },
        file: "src/engine/evidence/window.rs",
        old: "(*at >= exchange.sent() && stamp.remaining != *left)",
        new: "*at >= exchange.sent()",
    },
    Mutation {
        name: "an_answer_of_two_windows_proves_the_better_one",
        invariant: "I12",
        by: Test {
            target: "lib",
            name: "an_answer_that_fits_a_window_which_is_not_confirmed_proves_nothing",
        },
        file: "src/engine/evidence/window.rs",
        old: "        match (is_mixed, window.beside) {\n",
        new: "        match (is_mixed && !window.confirmed, window.beside) {\n",
    },
    Mutation {
        name: "a_slow_create_sets_the_servers_clock",
        invariant: "I8",
        by: Test {
            target: "lib",
            name: "a_create_that_took_long_does_not_set_the_servers_clock",
        },
        file: "src/engine/evidence/mod.rs",
        old: "        if took < CLOCK_STEP / 2 {",
        new: "        if took < CLOCK_STEP * 20 {",
    },
];
