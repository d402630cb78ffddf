//! Faults in the evidence: in which process answers, and in whether the server works if health does not.

use crate::list::{By::Test, Mutation};

pub(crate) const OF_PRESENCE: &[Mutation] = &[
    Mutation {
        name: "what_a_slow_create_says_of_the_servers_clock_is_forgotten",
        invariant: "I12",
        by: Test {
            target: "lib",
            name: "a_restart_is_not_hidden_by_a_clock_that_was_set_back_after_a_slow_create",
        },
        file: "src/engine/evidence/health.rs",
        old: "            self.at_least = Some((server, now));\n",
        new: "            self.at_least = Some((server, now)).filter(|_| self.stepped.is_some());\n",
    },
    Mutation {
        name: "the_new_process_proves_a_session_of_a_moment_before_it",
        invariant: "I12",
        by: Test {
            target: "lib",
            name: "answers_of_the_new_process_do_not_prove_a_session_that_was_made_a_moment_before_it_began",
        },
        file: "src/engine/evidence/verdict.rs",
        old: "is_one && !self.was_gone(made) && !self.was_left_open(made)",
        new: "is_one && !self.was_gone(made)",
    },
    Mutation {
        name: "connections_that_break_keep_their_pace_only_where_health_is_clear",
        invariant: "I8",
        by: Test {
            target: "lib",
            name: "trouble_that_goes_on_is_asked_about_ever_more_seldom_whatever_health_leaves_open",
        },
        file: "src/engine/evidence/mod.rs",
        old: "if question.cause == Cause::Broken || is_undamped {",
        new: "if question.cause == Cause::Broken && goes_on || is_undamped {",
    },
    Mutation {
        name: "signs_keep_their_pace_where_health_leaves_sessions_open",
        invariant: "I8",
        by: Test {
            target: "lib",
            name: "trouble_that_goes_on_is_asked_about_ever_more_seldom_whatever_health_leaves_open",
        },
        file: "src/engine/evidence/mod.rs",
        old: "let is_undamped = question.cause == Cause::Sign && was_unclear && !goes_on;",
        new: "let is_undamped = question.cause == Cause::Sign && is_first && !goes_on;",
    },
    Mutation {
        name: "what_a_new_process_had_answered_is_forgotten",
        invariant: "I12",
        by: Test {
            target: "lib",
            name: "what_the_new_process_had_answered_before_it_was_found_out_is_not_forgotten",
        },
        file: "src/engine/evidence/mod.rs",
        old: "self.windows.keep_since(began(&health, now));",
        new: "self.windows\n                .keep_since(began(&health, now).max(now.monotonic));",
    },
    Mutation {
        name: "a_session_that_was_made_in_a_strange_window_is_replaced",
        invariant: "I8",
        by: Test {
            target: "lib",
            name: "where_windows_decide_a_session_that_was_made_in_the_new_window_stays",
        },
        file: "src/engine/evidence/answers.rs",
        old: "sent.max(exchange.sent.monotonic),",
        new: "sent.max(exchange.sent.monotonic).max(std::time::Duration::MAX),",
    },
    Mutation {
        name: "failed_session_calls_may_come_from_a_cache",
        invariant: "I12",
        by: Test {
            target: "evidence",
            name: "whatever_answer_takes_a_place_in_the_window_of_a_new_process_does_not_hide_its_restart",
        },
        file: "src/driver/inquiry.rs",
        old: "let is_public = false;",
        new: "let is_public = true;",
    },
    Mutation {
        name: "an_answer_of_any_process_proves_that_of_the_session",
        invariant: "I12",
        by: Test {
            target: "lib",
            name: "where_two_processes_serve_side_by_side_no_answer_proves_that_of_a_session",
        },
        file: "src/engine/evidence/verdict.rs",
        old: "let is_one = self.is_one_process_since(made.born);",
        new: "let is_one = self.is_one_process_since(made.born) || self.since.is_some();",
    },
    Mutation {
        name: "a_process_that_ended_within_seconds_counts_beside_the_next",
        invariant: "I8",
        by: Test {
            target: "lib",
            name: "a_process_that_was_restarted_within_seconds_is_not_taken_for_one_of_several",
        },
        file: "src/engine/evidence/health.rs",
        old: "(boot.at, boot.last_seen) = (health.boot, now);",
        new: "boot.last_seen = now;",
    },
    Mutation {
        name: "a_session_is_known_by_the_servers_clock_of_before",
        invariant: "I12",
        by: Test {
            target: "evidence",
            name: "a_restart_is_seen_on_a_clock_that_was_set_back_in_the_life_of_the_session",
        },
        file: "src/model/evidence.rs",
        old: "    if server + STEP_BACK < before {",
        new: "    if server + LONGEST_LIFE < before {",
    },
    Mutation {
        name: "an_answer_that_was_held_up_is_a_sign",
        invariant: "I8",
        by: Test {
            target: "lib",
            name: "an_answer_that_was_held_up_may_be_of_a_window_that_ended_before_the_known_one_began",
        },
        file: "src/engine/evidence/window.rs",
        old: "exchange.received() < self.ends.0 && had_begun",
        new: "exchange.received() < self.ends.0 && (had_begun || !self.values.is_empty())",
    },
    Mutation {
        name: "silence_makes_up_for_what_health_left_open",
        invariant: "I12",
        by: Test {
            target: "lib",
            name: "a_session_that_health_has_left_open_is_asked_for_although_another_is_known",
        },
        file: "src/engine/evidence/verdict.rs",
        old: "            _ if self.was_left_open(made) => Fate::Unclear,\n",
        new: "            _ if self.was_left_open(made) && signs == 0 => Fate::Unclear,\n",
    },
    Mutation {
        name: "a_sleep_of_this_machine_is_a_step_of_the_servers_clock",
        invariant: "I8",
        by: Test {
            target: "lib",
            name: "a_machine_that_slept_takes_the_server_at_its_word",
        },
        file: "src/engine/evidence/health.rs",
        old: "is_off(then, now.monotonic.saturating_sub(at.monotonic)) && is_off(then, now.since(at))",
        new: "is_off(then, now.monotonic.saturating_sub(at.monotonic)) || is_off(then, now.since(at))",
    },
    Mutation {
        name: "answers_to_other_calls_do_not_say_that_the_server_is_there",
        invariant: "I8",
        by: Test {
            target: "evidence",
            name: "where_requests_go_on_all_the_time_nobody_waits_and_no_outage_is_told_of",
        },
        file: "src/engine/evidence/presence.rs",
        old: "        self.answered = self.answered.max(Some(sent.monotonic));\n        self.is_news",
        new: "        self.answered = self.answered.max(Some(sent.monotonic).filter(|_| was_there));\n        self.is_news",
    },
    Mutation {
        name: "health_that_is_refused_alone_is_an_outage",
        invariant: "I8",
        by: Test {
            target: "evidence",
            name: "health_that_is_refused_alone_fails_no_request_and_costs_one_session_call_in_five_minutes",
        },
        file: "src/engine/evidence/verdict.rs",
        old: "self.presence.is_to_try(METERED, now) && is_due(self.metered, METERED, now);",
        new: "self.presence.is_to_try(METERED, now) && self.metered.is_some() && is_due(self.metered, METERED, now);",
    },
    Mutation {
        name: "the_server_is_there_however_session_calls_fail",
        invariant: "I1",
        by: Test {
            target: "lib",
            name: "the_server_is_there_once_it_answers_a_call_of_after_the_question_and_until_one_fails",
        },
        file: "src/engine/evidence/presence.rs",
        old: "        self.failed = self.failed.max(Some(sent.monotonic));",
        new: "        self.failed = self.failed.max(None);",
    },
    Mutation {
        name: "an_outage_is_found_out_by_a_session_call_at_once",
        invariant: "I8",
        by: Test {
            target: "evidence",
            name: "while_a_gateway_does_not_reach_the_server_no_session_is_asked_for",
        },
        file: "src/engine/evidence/presence.rs",
        old: "const FIRST_IN_OUTAGE: Duration = Duration::from_secs(30);",
        new: "const FIRST_IN_OUTAGE: Duration = Duration::from_secs(0);",
    },
    Mutation {
        name: "session_calls_are_tried_all_through_an_outage",
        invariant: "I8",
        by: Test {
            target: "lib",
            name: "where_the_whole_server_is_out_of_reach_a_session_call_finds_out_after_a_while_and_then_seldom",
        },
        file: "src/engine/evidence/presence.rs",
        old: "        self.tried = Some(now);",
        new: "        self.tried = Some(now).filter(|_| self.away_since.is_none());",
    },
    Mutation {
        name: "a_session_call_in_an_outage_is_another_sign",
        invariant: "I8",
        by: Test {
            target: "evidence",
            name: "while_all_is_refused_requests_fail_at_once_and_few_session_calls_are_tried",
        },
        file: "src/driver/check.rs",
        old: "            if self.standing_in.is_none() || is_sign {\n",
        new: "            if self.standing_in.is_none() || self.attempt.purpose() == crate::model::budget::Purpose::Check {\n",
    },
    Mutation {
        name: "the_callers_own_session_is_asked_for_and_not_the_oldest",
        invariant: "I12",
        by: Test {
            target: "evidence",
            name: "a_session_that_turns_out_to_have_other_defaults_is_used_no_more",
        },
        file: "src/driver/stand_in.rs",
        old: "        (oldest.age_key() < than.age_key()).then_some(oldest)",
        new: "        (oldest.age_key() == than.age_key()).then_some(oldest)",
    },
    Mutation {
        name: "the_youngest_session_is_not_asked_for_where_the_oldest_is_lost",
        invariant: "I8",
        by: Test {
            target: "evidence",
            name: "where_the_oldest_session_is_lost_the_youngest_says_whether_all_are",
        },
        file: "src/driver/stand_in.rs",
        old: "            Some(youngest) if !is_there =>",
        new: "            Some(youngest) if *is_there =>",
    },
    Mutation {
        name: "a_session_that_is_missing_says_nothing_of_younger_ones",
        invariant: "I12",
        by: Test {
            target: "lib",
            name: "where_one_session_is_missing_each_other_is_asked_for_itself_though_only_a_hint_was_looked_into",
        },
        file: "src/engine/evidence/verdict.rs",
        old: "let is_missed = self.was_missed_since(made).is_some();",
        new: "let is_missed = self.was_missed_since(made).is_some() && self.health.is_some();",
    },
    Mutation {
        name: "each_process_of_a_fleet_asks_for_a_session",
        invariant: "I8",
        by: Test {
            target: "fleet",
            name: "where_health_says_nothing_a_fleet_makes_one_session_call_in_five_minutes",
        },
        file: "src/driver/fleet/stand_in.rs",
        old: "self.common_slot(core, Kind::StandIn)?;\n",
        new: "self.common_slot(core, Kind::StandIn).filter(|_| signs == u64::MAX)?;\n",
    },
    Mutation {
        name: "a_redirect_of_health_is_an_outage",
        invariant: "I8",
        by: Test {
            target: "lib",
            name: "a_redirect_that_the_client_followed_says_nothing",
        },
        file: "src/api/health.rs",
        old: "Err(error) if error.is::<Redirected>() => return Ok((Word::Silent, None)),",
        new: "Err(error) if error.is::<Redirected>() => return Ok((Word::Away, Some(error))),",
    },
    Mutation {
        name: "calls_by_hand_take_their_places_unseen",
        invariant: "I12",
        by: Test {
            target: "evidence",
            name: "whatever_answer_takes_a_place_in_the_window_of_a_new_process_does_not_hide_its_restart",
        },
        file: "src/driver/by_hand.rs",
        old: "core.saw_session_call(Stamp::of(head), sent)",
        new: "core.saw_session_call(Stamp::of(head).filter(|_| head.is_empty()), sent)",
    },
    Mutation {
        name: "what_health_says_during_a_session_call_is_not_heard",
        invariant: "I8",
        by: Test {
            target: "evidence",
            name: "where_health_answers_during_a_session_call_in_its_place_no_other_session_is_asked_for",
        },
        file: "src/driver/stand_in.rs",
        old: "let is_told = self.core.has_heard();",
        new: "let is_told = self.core.has_heard() && self.generation == 0;",
    },
    Mutation {
        name: "what_a_session_call_says_counts_beside_a_later_word_of_health",
        invariant: "I8",
        by: Test {
            target: "evidence",
            name: "where_health_answers_while_a_session_turns_out_to_be_lost_no_other_is_asked_for",
        },
        file: "src/driver/stand_in.rs",
        old: "is_answered && self.is_told_meanwhile()",
        new: "is_answered && self.generation == 0 && self.is_told_meanwhile()",
    },
    Mutation {
        name: "a_session_that_has_ended_is_asked_for",
        invariant: "I8",
        by: Test {
            target: "evidence",
            name: "a_session_that_ends_while_health_is_silent_is_not_asked_for",
        },
        file: "src/engine/attempt/check.rs",
        old: "        if cx.facts.is_over {\n",
        new: "        if cx.facts.is_over && self.metered {\n",
    },
];
