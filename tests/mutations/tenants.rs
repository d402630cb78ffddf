//! Faults of tenants and waits: who waits for whom, who makes room, and what one key may cost.

use crate::list::{By::Test, Mutation};

pub(crate) const OF_TENANTS: &[Mutation] = &[
    Mutation {
        name: "a_session_that_was_just_used_makes_room_for_others",
        invariant: "I8",
        by: Test {
            target: "lifecycle",
            name: "what_has_no_room_is_deleted_the_longest_unused_first",
        },
        file: "src/manager/session.rs",
        old: "        millis(now.monotonic).saturating_sub(used_at) >= millis(IN_USE)\n",
        new: "        millis(now.monotonic) >= used_at\n",
    },
    Mutation {
        name: "every_tenant_finds_out_by_itself_that_nobody_answers",
        invariant: "I8",
        by: Test {
            target: "lifecycle",
            name: "the_first_tenant_that_finds_out_spares_the_others_the_wait",
        },
        file: "src/manager/create.rs",
        old: "        let outcome = outcome.map(|outcome| self.spare_others(outcome));\n",
        new: "",
    },
    Mutation {
        name: "all_find_out_at_once_whether_the_server_is_back",
        invariant: "I8",
        by: Test {
            target: "lifecycle",
            name: "one_call_at_a_time_finds_out_whether_the_server_is_back",
        },
        file: "src/manager/ledger/reach.rs",
        old: "            Some(hold) if hold.is_probed_by_another(create, now) => {",
        new: "            Some(hold) if hold.is_probed_by_another(create, now) && create.is_none() => {",
    },
    Mutation {
        name: "a_request_waits_beyond_its_own_timeout",
        invariant: "I9",
        by: Test {
            target: "layer",
            name: "a_request_never_waits_longer_than_its_own_timeout",
        },
        file: "src/manager/patience.rs",
        old: "limit.map_or(max_wait, |limit| limit.left(self.core().uptime()))",
        new: "limit.map_or(max_wait, |limit| limit.left(self.core().uptime()).max(max_wait))",
    },
    Mutation {
        name: "made_up_keys_take_the_whole_budget",
        invariant: "I9",
        by: Test {
            target: "lifecycle",
            name: "keys_that_nobody_knows_never_starve_those_that_the_server_has_accepted",
        },
        file: "src/manager/ledger/chance.rs",
        old: "            && !self.known_keys.is_accepted(partition.key_id)\n",
        new: "            && self.known_keys.is_accepted(partition.key_id)\n",
    },
    Mutation {
        name: "cleared_holds_hold_on",
        invariant: "I9",
        by: Test {
            target: "lifecycle",
            name: "a_tenant_whose_holds_are_cleared_tries_at_once_and_no_other_does",
        },
        file: "src/manager/ledger/chance.rs",
        old: "        let of_key = self.keys.remove(&key).flatten();",
        new: "        let of_key = None;",
    },
    Mutation {
        name: "the_deletes_of_a_key_have_no_end",
        invariant: "I8",
        by: Test {
            target: "lifecycle",
            name: "checks_and_deletes_of_a_key_end_with_its_day_while_creates_go_on",
        },
        file: "src/manager/janitor.rs",
        old: "    if let Some(error) = spent {",
        new: "    if let Some(error) = spent.filter(|_| core.settings.max_sessions == 0) {",
    },
    Mutation {
        name: "a_key_that_may_not_ask_any_more_fails_for_a_day",
        invariant: "I9",
        by: Test {
            target: "lifecycle",
            name: "what_may_be_lost_is_replaced_unasked_where_the_key_may_not_ask",
        },
        file: "src/manager/create/turn.rs",
        old: "        if self.turned || error.kind() != ErrorKind::Budget || spent.is_none() {",
        new: "        if self.turned || error.kind() != ErrorKind::Config || spent.is_none() {",
    },
    Mutation {
        name: "a_create_on_a_runtime_that_stands_still_is_waited_for",
        invariant: "I9",
        by: Test {
            target: "runtimes",
            name: "a_create_on_a_runtime_that_stands_still_is_taken_over_by_a_request_on_another_within_seconds",
        },
        file: "src/manager/flight.rs",
        old: "        left.min(STALLED.saturating_sub(stalled_for))",
        new: "        left.max(STALLED.saturating_sub(stalled_for))",
    },
    Mutation {
        name: "a_slow_create_on_another_runtime_is_taken_over",
        invariant: "I2",
        by: Test {
            target: "runtimes",
            name: "a_create_that_is_slow_on_a_runtime_that_is_driven_is_left_alone_by_requests_on_another",
        },
        file: "src/manager/flight.rs",
        old: "                sleep(BEAT).await;",
        new: "                sleep(20 * BEAT).await;",
    },
];
