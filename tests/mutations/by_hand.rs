//! Faults with session ids that callers use by hand, with windows and questions that prove nothing, and with tenants
//! that affect one another.

use crate::list::{By::Test, Mutation};

pub(crate) const BY_HAND: &[Mutation] = &[
    Mutation {
        name: "a_delete_by_hand_is_noticed_when_it_is_answered",
        invariant: "I1",
        by: Test {
            target: "layer",
            name: "an_id_is_not_sent_from_before_its_delete_on",
        },
        file: "src/driver/known_ids.rs",
        old: "            book.put(id, Known::Ended { at: now });\n        }\n        before.filter",
        new: "            let _ = now;\n        }\n        before.filter",
    },
    Mutation {
        name: "a_late_answer_brings_a_deleted_id_back",
        invariant: "I1",
        by: Test {
            target: "layer",
            name: "a_late_answer_of_before_a_delete_does_not_bring_an_id_back",
        },
        file: "src/driver/known_ids.rs",
        old: "Known::Ended { at } => *at >= asked,",
        new: "Known::Ended { at } => *at == Duration::MAX && asked.is_zero(),",
    },
    Mutation {
        name: "an_id_that_the_server_does_not_know_stays_known",
        invariant: "I1",
        by: Test {
            target: "layer",
            name: "an_id_that_the_server_does_not_know_any_more_is_not_sent",
        },
        file: "src/driver/known_ids.rs",
        old: "matches!(known, Known::ByHand { key: of, .. } if *of == key)",
        new: "matches!(known, Known::ByHand { key: of, .. } if *of == key && now.is_zero())",
    },
    Mutation {
        name: "a_lost_session_says_nothing_of_ids_of_by_hand",
        invariant: "I1",
        by: Test {
            target: "layer",
            name: "whoever_finds_a_restart_out_ends_the_ids_of_before_it",
        },
        file: "src/driver/core.rs",
        old: "        self.known_ids.forget_by_hand();\n",
        new: "",
    },
    Mutation {
        name: "a_delete_by_hand_concerns_one_manager",
        invariant: "I1",
        by: Test {
            target: "layer",
            name: "what_one_manager_of_a_process_deletes_no_other_sends",
        },
        file: "src/driver/by_hand.rs",
        old: "    let holds = managers.iter().map(|core| take_out_of(core, id));\n",
        new: "    let holds = managers.iter().take(1).map(|core| take_out_of(core, id));\n",
    },
    Mutation {
        name: "what_another_manager_knows_to_be_dead_is_vouched_for",
        invariant: "I1",
        by: Test {
            target: "layer",
            name: "a_managers_session_that_another_has_fetched_ends_for_both",
        },
        file: "src/driver/peers.rs",
        old: "View::Dead if transports.0.leads_to_same(transports.1) => return None,",
        new: "View::Dead if transports.0.leads_to_same(transports.1) && voucher.is_some() => {}",
    },
    Mutation {
        name: "an_answer_of_the_session_confirms_any_window_with_as_many_calls_left",
        invariant: "I12",
        by: Test {
            target: "lib",
            name: "an_answer_of_the_session_vouches_for_its_own_window_and_not_for_one_that_had_as_many_calls_left",
        },
        file: "src/engine/evidence/window.rs",
        old: "window.overlaps(ends) && window.values.contains(&noted)",
        new: "window.overlaps(ends) && window.values.iter().any(|it| it.1 == noted.1)",
    },
    Mutation {
        name: "windows_end_before_their_last_answers_come",
        invariant: "I12",
        by: Test {
            target: "evidence",
            name: "answers_that_take_a_moment_over_the_end_of_their_window_begin_no_other",
        },
        file: "src/engine/evidence/window.rs",
        old: "self.forget_ended(exchange.sent());",
        new: "self.forget_ended(exchange.received());",
    },
    Mutation {
        name: "hints_are_looked_into_once_a_minute",
        invariant: "I12",
        by: Test {
            target: "evidence",
            name: "a_false_alarm_at_the_end_of_a_window_leaves_later_windows_in_doubt_for_a_few_minutes_at_most",
        },
        file: "src/engine/evidence/backoff.rs",
        old: "Backoff::new(Duration::from_secs(10), Duration::from_secs(45))",
        new: "Backoff::new(Duration::from_secs(10), Duration::from_secs(60))",
    },
    Mutation {
        name: "a_session_call_that_tells_nothing_was_not_made",
        invariant: "I8",
        by: Test {
            target: "evidence",
            name: "where_sessions_cannot_be_asked_for_either_none_is_given_up_and_few_calls_are_made",
        },
        file: "src/engine/evidence/verdict.rs",
        old: "        self.is_metering = false;\n        let since = self.owed",
        new: "        (self.is_metering, self.metered) = (false, None);\n        let since = self.owed",
    },
    Mutation {
        name: "a_session_that_cannot_be_asked_for_is_asked_for_without_end",
        invariant: "I8",
        by: Test {
            target: "evidence",
            name: "where_session_calls_alone_do_not_get_through_an_idle_tenant_gets_another_session_and_holds_up_nobody",
        },
        file: "src/engine/attempt/failure.rs",
        old: "is_unheard && self.tries > 1 &&",
        new: "is_unheard && self.tries > 99 &&",
    },
    Mutation {
        name: "a_session_call_that_breaks_in_an_outage_is_no_sign_to_newer_sessions",
        invariant: "I1",
        by: Test {
            target: "evidence",
            name: "where_nothing_reaches_the_server_no_session_goes_on_that_was_made_after_the_last_sign",
        },
        file: "src/driver/check.rs",
        old: "if self.standing_in.is_none() || is_sign {",
        new: "if self.standing_in.is_none() {",
    },
    Mutation {
        name: "another_tenants_session_is_waited_for_as_long_as_ones_own",
        invariant: "I7",
        by: Test {
            target: "evidence",
            name: "a_tenant_whose_session_call_hangs_keeps_nobody_from_theirs",
        },
        file: "src/driver/stand_in.rs",
        old: "(stands_in && (!is_own || may_go_on())).then_some(IN_PLACE)",
        new: "(stands_in && is_own && may_go_on()).then_some(IN_PLACE)",
    },
    Mutation {
        name: "a_window_that_shows_another_process_counts_as_a_failed_call",
        invariant: "I12",
        by: Test {
            target: "evidence",
            name: "a_restart_that_only_windows_show_is_found_in_seconds_where_health_alone_cannot_be_reached",
        },
        file: "src/engine/evidence/calls.rs",
        old: ".question_failed(question.asked, self.failed.is_some()),",
        new: ".question_failed(question.asked, question.cause >= Cause::Sign),",
    },
    Mutation {
        name: "sessions_that_made_room_count_for_nothing",
        invariant: "I12",
        by: Test {
            target: "evidence",
            name: "a_session_that_made_room_while_it_was_in_use_is_not_proven_by_the_first_one_after_a_restart",
        },
        file: "src/driver/index.rs",
        old: "        !self.sessions().is_empty()\n",
        new: "        self.live.iter().next().is_some()\n",
    },
    Mutation {
        name: "keys_that_are_refused_now_keep_their_place",
        invariant: "I9",
        by: Test {
            target: "lifecycle",
            name: "keys_that_the_server_refuses_now_never_starve_those_that_it_accepts",
        },
        file: "src/engine/gate/check.rs",
        old: "!self.known_keys.is_own(key) && hold.is_some_and(is_refused)",
        new: "self.known_keys.is_own(key) && hold.is_some_and(is_refused)",
    },
    Mutation {
        name: "what_the_server_said_of_a_quota_holds_until_midnight",
        invariant: "I3",
        by: Test {
            target: "lib",
            name: "while_little_is_left_the_server_is_asked_each_hour_though_nothing_else_is",
        },
        file: "src/engine/gate/upkeep.rs",
        old: "let is_due = is_due || (day.scarce",
        new: "let is_due = is_due && (day.scarce",
    },
    Mutation {
        name: "one_tenant_may_take_all_places_of_a_shutdown",
        invariant: "I3",
        by: Test {
            target: "lifecycle",
            name: "tenants_whose_deletes_hang_keep_no_others_from_theirs",
        },
        file: "src/engine/shutdown.rs",
        old: "of_key.count() >= SIDE_BY_SIDE / 2",
        new: "of_key.count() > SIDE_BY_SIDE",
    },
    Mutation {
        name: "a_gateway_that_refuses_a_delete_is_an_outage",
        invariant: "I9",
        by: Test {
            target: "lifecycle",
            name: "a_gateway_that_refuses_deletes_alone_is_no_outage",
        },
        file: "src/driver/outage.rs",
        old: "if is_outage && error.status().is_none() {",
        new: "if is_outage {",
    },
    Mutation {
        name: "an_answer_from_the_stores_future_counts",
        invariant: "I12",
        by: Test {
            target: "fleet",
            name: "an_answer_of_before_a_sign_is_none_of_after_it_where_the_stores_clock_was_set_back",
        },
        file: "src/driver/fleet/stand_in.rs",
        old: "found.now.checked_sub(said.asked)?",
        new: "found.now.saturating_sub(said.asked)",
    },
    Mutation {
        name: "a_patient_request_sleeps_beside_its_session",
        invariant: "I7",
        by: Test {
            target: "layer",
            name: "a_patient_request_waits_no_longer_than_until_others_have_got_its_session",
        },
        file: "src/driver/index.rs",
        old: "        self.observer.arrived();\n",
        new: "",
    },
    Mutation {
        name: "who_waits_in_vain_is_not_told_why",
        invariant: "I9",
        by: Test {
            target: "lifecycle",
            name: "a_request_that_waits_in_vain_is_told_why_and_for_how_long",
        },
        file: "src/front/patience.rs",
        old: "Err(too_late(limit, max_wait, why))",
        new: "Err(too_late(limit, max_wait, why.filter(Error::is_transient).and(None)))",
    },
    Mutation {
        name: "what_another_key_does_not_find_is_no_more_deleted",
        invariant: "I3",
        by: Test {
            target: "layer",
            name: "a_session_that_another_key_deletes_in_vain_is_deleted_by_its_manager",
        },
        file: "src/driver/by_hand.rs",
        old: "    for manager in peers::of_same_server(core) {\n        manager.known_ids.gone(id, key, manager.uptime());\n",
        new: "    for manager in peers::of_same_server(core) {\n        manager.retirement.take_all();\n        manager.known_ids.gone(id, key, manager.uptime());\n",
    },
];
