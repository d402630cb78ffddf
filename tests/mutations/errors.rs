//! Faults in error messages, and in panics that become errors.

use crate::list::{By::Test, Mutation};

pub(crate) const OF_ERRORS: &[Mutation] = &[
    Mutation {
        name: "a_transparent_wrapper_hides_the_error",
        invariant: "I6",
        by: Test {
            target: "errors",
            name: "it_is_found_through_retries_and_by_whoever_walks_the_chain",
        },
        file: "src/error.rs",
        old: "        Some(self.0.source.get_or_init(as_source))\n",
        new: "        let _ = as_source;\n        self.cause()\n",
    },
    Mutation {
        name: "a_quota_says_when_it_is_tried_next_for_when_it_resets",
        invariant: "I9",
        by: Test {
            target: "errors",
            name: "who_obeys_a_quotas_retry_after_fails_once_and_succeeds",
        },
        file: "src/engine/cooldown.rs",
        old: "error.with_retry_after(left.max(hopeless))",
        new: "error.with_retry_after(left.min(hopeless))",
    },
    Mutation {
        name: "a_message_names_whatever_a_chain_is_called",
        invariant: "I5",
        by: Test {
            target: "errors",
            name: "a_chain_that_is_a_secret_is_not_named",
        },
        file: "src/error/about.rs",
        old: "        scrub::text(&text, &[key, viewing_key])\n",
        new: "        let _ = viewing_key;\n        text\n",
    },
    Mutation {
        name: "a_failure_that_is_shared_names_the_other_tenant",
        invariant: "I5",
        by: Test {
            target: "errors",
            name: "a_failure_that_is_shared_names_who_reads_it",
        },
        file: "src/front/acquire.rs",
        old: "        let found = self.in_time(limit, partition, found).await;\n        found.map_err(|error| whose.name(self.core(), error))\n",
        new: "        let _ = whose;\n        self.in_time(limit, partition, found).await\n",
    },
    Mutation {
        name: "a_remembered_session_panics_where_there_is_no_room_for_it",
        invariant: "I6",
        by: Test {
            target: "errors",
            name: "a_request_without_room_for_its_session_is_refused_cold_and_warm_and_as_one_like_others",
        },
        file: "src/hot/memo.rs",
        old: "        headers.try_insert(SESSION_ID, memo.id.clone()).ok()?;\n",
        new: "        headers.insert(SESSION_ID, memo.id.clone());\n",
    },
    Mutation {
        name: "a_runtime_is_taken_to_have_timers",
        invariant: "I6",
        by: Test {
            target: "errors",
            name: "every_call_on_it_fails_with_no_runtime_and_goes_on_elsewhere",
        },
        file: "src/runtime.rs",
        old: "    if has_timers(runtime.id()) {\n",
        new: "    if has_timers(runtime.id()) || runtime.metrics().num_workers() > 0 {\n",
    },
    Mutation {
        name: "a_create_that_panicked_is_begun_anew_at_once",
        invariant: "I8",
        by: Test {
            target: "errors",
            name: "a_create_that_panics_elsewhere_fails_all_who_wait_and_the_next_comes_after_a_pause",
        },
        file: "src/driver/create.rs",
        old: "            outcome = caught(beating(&status, &*clock, self.fly())) => outcome,\n",
        new: "            outcome = async { Some(beating(&status, &*clock, self.fly()).await) } => outcome,\n",
    },
    Mutation {
        name: "a_shutdown_waits_for_ever_for_a_delete_that_panicked",
        invariant: "I9",
        by: Test {
            target: "errors",
            name: "a_shutdown_in_which_a_delete_panics_ends_and_says_so_and_deletes_the_others",
        },
        file: "src/driver/shutdown.rs",
        old: "    let fate = caught(work).await.unwrap_or_else(broke_off);\n",
        new: "    let fate = work.await.or_else(|| broke_off().filter(|_| false));\n",
    },
    Mutation {
        name: "a_session_is_said_to_be_usable_past_the_fleets_lease",
        invariant: "I1",
        by: Test {
            target: "fleet",
            name: "a_session_says_for_how_long_it_is_used_without_the_store",
        },
        file: "src/hot/session/view.rs",
        old: "        self.life.usable_for(now).min(self.kept_for(now))\n",
        new: "        self.life.usable_for(now)\n",
    },
];
