//! The faults that one test of its own shows, whatever the target.

use crate::list::{By::Test, Mutation};

pub(crate) const BY_TEST: &[Mutation] = &[
    Mutation {
        name: "an_answer_for_another_chain_reaches_the_caller",
        invariant: "I12",
        by: Test {
            target: "checked",
            name: "of_ten_restarts_that_no_call_met_no_caller_gets_a_wrong_answer",
        },
        file: "src/front/expectation.rs",
        old: "            return Err(self.fail(expected, shown(answered)));\n",
        new: "            let _ = self.fail(expected, shown(answered));\n            return Ok(());\n",
    },
    Mutation {
        name: "a_session_that_an_answer_gave_away_stays_in_use",
        invariant: "I1",
        by: Test {
            target: "checked",
            name: "of_ten_restarts_that_no_call_met_no_caller_gets_a_wrong_answer",
        },
        file: "src/front/expectation.rs",
        old: "            self.lose(session);\n",
        new: "            session.set_lost();\n",
    },
    Mutation {
        name: "a_wrong_answer_says_nothing_of_the_other_sessions",
        invariant: "I1",
        by: Test {
            target: "checked",
            name: "what_has_lost_one_session_is_asked_about_the_others",
        },
        file: "src/front/expectation.rs",
        old: "        if is_sign {\n",
        new: "        if is_sign && may_be_deleted {\n",
    },
    Mutation {
        name: "a_request_that_names_its_chain_is_checked_too",
        invariant: "I7",
        by: Test {
            target: "checked",
            name: "a_body_that_names_a_chain_is_left_alone",
        },
        file: "src/checked/rules.rs",
        old: "json::find(&[\"chain\"], body) == Some(Found::Nothing)",
        new: "json::find(&[\"chain\"], body).is_some()",
    },
    Mutation {
        name: "the_first_of_equal_keys_wins",
        invariant: "I12",
        by: Test {
            target: "checked",
            name: "depth_and_doubled_keys_do_not_hide_a_wrong_answer",
        },
        file: "src/checked/json.rs",
        old: "            if is_key {\n",
        new: "            if is_key && found == Found::Nothing {\n",
    },
    Mutation {
        name: "an_answer_from_elsewhere_confirms",
        invariant: "I4",
        by: Test {
            target: "checked",
            name: "an_answer_from_elsewhere_confirms_nothing",
        },
        file: "src/front/expectation.rs",
        old: "doubt: Some(Doubt::Leaked),",
        new: "doubt: Some(Doubt::Late),",
    },
    Mutation {
        name: "a_sign_of_trouble_reaches_only_the_first_key_that_a_layer_remembers",
        invariant: "I1",
        by: Test {
            target: "layer",
            name: "after_a_sign_of_trouble_no_key_is_given_what_was_remembered_before_it",
        },
        file: "src/hot/memo/place.rs",
        old: "            state.first = None;\n            state.begin_anew();\n",
        new: "            state.first = None;\n",
    },
    Mutation {
        name: "layers_tell_keys_apart_by_their_values_alone",
        invariant: "I1",
        by: Test {
            target: "layer",
            name: "the_same_value_in_another_header_is_not_the_same_key",
        },
        file: "src/hot/memo.rs",
        old: "self.header == credentials.header && **self",
        new: "**self",
    },
    Mutation {
        name: "events_are_told_under_the_managers_locks",
        invariant: "I9",
        by: Test {
            target: "signals",
            name: "subscribers_recorders_transports_and_wakers_may_call_back_into_the_manager",
        },
        file: "src/driver/outbox.rs",
        old: "        if HELD.get() > 0 {",
        new: "        if HELD.get() > 9 {",
    },
    Mutation {
        name: "layers_remember_what_ended_before_they_noted_it",
        invariant: "I11",
        by: Test {
            target: "lib",
            name: "a_session_that_has_ended_or_is_suspect_meanwhile_is_not_remembered",
        },
        file: "src/front/remember.rs",
        old: "let holds = core.is_in_order(session) && ",
        new: "let holds = ",
    },
    Mutation {
        name: "sessions_are_evicted_under_requests_that_were_given_them_from_memory",
        invariant: "I7",
        by: Test {
            target: "lifecycle",
            name: "a_session_is_not_evicted_under_a_request_that_was_given_it_from_memory",
        },
        file: "src/hot/use_count.rs",
        old: "        !self.lingers(now)\n            && self.count_of_tokens() == 0\n",
        new: "        !self.lingers(now)\n",
    },
    Mutation {
        name: "a_failed_delete_shows_the_viewing_key",
        invariant: "I5",
        by: Test {
            target: "lifecycle",
            name: "a_failed_delete_does_not_show_a_viewing_key_that_the_server_repeats",
        },
        file: "src/driver/calls.rs",
        old: ".hiding(partition.defaults.default_viewing_key.clone())",
        new: ".hiding(None)",
    },
    Mutation {
        name: "a_call_by_hand_shows_the_managers_viewing_key",
        invariant: "I5",
        by: Test {
            target: "lifecycle",
            name: "a_call_by_hand_does_not_show_the_managers_viewing_key_that_the_server_repeats",
        },
        file: "src/front/manager.rs",
        old: "        .hiding(self.defaults().default_viewing_key)\n",
        new: "",
    },
    Mutation {
        name: "a_shutdown_whose_runtime_ends_forgets_its_sessions",
        invariant: "I3",
        by: Test {
            target: "threads",
            name: "what_a_shutdown_leaves_when_its_runtime_ends_is_deleted_by_the_next",
        },
        file: "src/driver/shutdown.rs",
        old: "        self.core.retirement.put_back(unfinished);\n",
        new: "        drop(unfinished);\n",
    },
    Mutation {
        name: "a_janitor_that_stalls_is_never_replaced",
        invariant: "I3",
        by: Test {
            target: "threads",
            name: "a_janitor_whose_runtime_stalls_is_replaced",
        },
        file: "src/driver/retired.rs",
        old: ".is_some_and(|last| now.since(last.seen) < ABSENT);",
        new: ".is_some_and(|last| now.since(last.seen) < Duration::MAX);",
    },
    Mutation {
        name: "an_answer_from_an_alias_counts_as_a_leak",
        invariant: "I4",
        by: Test {
            target: "redirects",
            name: "between_the_base_url_and_an_alias_redirects_are_followed_and_nothing_has_leaked",
        },
        file: "src/model/settings.rs",
        old: "self.base.contains(target) || self.aliases.contains(target)",
        new: "self.base.contains(target)",
    },
    Mutation {
        name: "requests_that_go_elsewhere_are_not_looked_at",
        invariant: "I13",
        by: Test {
            target: "layer",
            name: "of_many_origins_a_thousand_are_told_of_and_all_are_counted",
        },
        file: "src/front/outside.rs",
        old: "(!looks_like_one).then_some(glance)",
        new: "Some(glance)",
    },
    Mutation {
        name: "a_strangers_id_is_kept_once_the_store_was_asked",
        invariant: "I1",
        by: Test {
            target: "fleet",
            name: "a_strangers_id_is_refused_once_the_store_has_been_asked",
        },
        file: "src/front/foreign.rs",
        old: "if IdHash::of_session(lease.live()) == brought {",
        new: "if brought == brought {",
    },
    Mutation {
        name: "an_id_that_has_ended_stays_where_nothing_takes_its_place",
        invariant: "I1",
        by: Test {
            target: "layer",
            name: "an_id_that_has_ended_is_not_sent_where_there_is_no_session_to_take_its_place",
        },
        file: "src/front/admit.rs",
        old: "            request.headers_mut().remove(SESSION_ID);\n",
        new: "            let _ = SESSION_ID;\n",
    },
    Mutation {
        name: "a_session_of_another_manager_is_not_held_for_requests_that_bring_its_id_along",
        invariant: "I1",
        by: Test {
            target: "layer",
            name: "a_session_is_not_deleted_under_a_request_that_brought_its_id_along",
        },
        file: "src/front/admit.rs",
        old: "self.bare(why, added, by_hand.or(hold));",
        new: "self.bare(why, added, by_hand.or(hold.filter(|_| false)));",
    },
    Mutation {
        name: "a_forked_process_takes_itself_for_the_other",
        invariant: "I1",
        by: Test {
            target: "lib",
            name: "a_copy_makes_sessions_of_its_own_and_deletes_no_others",
        },
        file: "src/driver/fork.rs",
        old: "        owner != 0 && owner != self.owner.present()\n",
        new: "        owner == 0 && owner != self.owner.present()\n",
    },
    Mutation {
        name: "a_transport_that_panics_ends_the_create",
        invariant: "I8",
        by: Test {
            target: "lifecycle",
            name: "a_create_whose_transport_panics_is_a_failure_like_others",
        },
        file: "src/api/transport.rs",
        old: "        Caught(exchange).await\n",
        new: "        exchange.await\n",
    },
    Mutation {
        name: "an_update_by_hand_that_has_ended_still_counts",
        invariant: "I3",
        by: Test {
            target: "lifecycle",
            name: "a_session_that_was_changed_by_hand_is_deleted_by_the_shutdown",
        },
        file: "src/driver/by_hand.rs",
        old: "        self.is_answered = true;\n",
        new: "        self.is_answered = false;\n",
    },
    Mutation {
        name: "a_late_proof_is_not_told_of",
        invariant: "I1",
        by: Test {
            target: "layer",
            name: "an_answer_whose_proof_says_that_it_is_late_is_told_of_though_the_wall_clock_was_set_back",
        },
        file: "src/front/in_flight.rs",
        old: "        if !(at_once && token.is_young()) {\n",
        new: "        if !(at_once || token.is_young()) {\n",
    },
    Mutation {
        name: "records_with_one_number_count_as_one_in_redis",
        invariant: "I1",
        by: Test {
            target: "store",
            name: "another_record_with_the_same_generation_is_not_the_current_one",
        },
        file: "src/store/redis/scripts/keep.lua",
        old: "if current == generation and kept ~= sealed then",
        new: "if current == generation and sealed == '' then",
    },
    Mutation {
        name: "a_create_on_a_runtime_that_stands_still_is_waited_for_like_any_other",
        invariant: "I9",
        by: Test {
            target: "runtimes",
            name: "a_question_on_a_runtime_that_stands_still_is_asked_by_a_request_on_another_within_seconds",
        },
        file: "src/engine/flight.rs",
        old: "const STALLED: Duration = Duration::from_secs(5);",
        new: "const STALLED: Duration = Duration::from_secs(500);",
    },
    Mutation {
        name: "a_probe_looks_only_for_what_holds_back_creates",
        invariant: "I9",
        by: Test {
            target: "lifecycle",
            name: "a_probe_tells_of_an_outage_also_where_there_is_a_session_that_nobody_may_use",
        },
        file: "src/front/tenants.rs",
        old: "self.may_begin(&mut gate, wanted, current, now).err();",
        new: "{\n            let _ = current;\n            self.may_create(&mut gate, wanted, now).err()\n        };",
    },
    Mutation {
        name: "an_outage_that_ends_ends_every_wait",
        invariant: "I8",
        by: Test {
            target: "lifecycle",
            name: "a_tenant_that_the_server_told_to_wait_does_so_though_an_outage_ends_for_others",
        },
        file: "src/driver/create/wait.rs",
        old: "            if !left.is_zero() && !self.is_held_for_all() {\n",
        new: "            if left == Duration::MAX {\n",
    },
];
