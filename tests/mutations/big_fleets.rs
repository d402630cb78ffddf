//! Faults in fleets whose store is big, slow or half down, and in fleets whose API key is new or refused.

use crate::list::{By::Scenario, Mutation};

pub(crate) const OF_BIG_FLEETS: &[Mutation] = &[
    Mutation {
        name: "a_slot_that_is_told_of_waits_its_turn",
        invariant: "I1",
        by: Scenario(
            "a_revocation_that_is_told_of_is_heard_of_at_once_though_half_of_a_big_store_hangs",
        ),
        file: "src/engine/fleet/schedule.rs",
        old: "let told = || self.told.first(now).filter(|_| has_room || is_urgent);",
        new: "let told = || self.told.first(now).filter(|_| has_room && is_urgent);",
    },
    Mutation {
        name: "places_do_not_grow_for_slots_that_wait",
        invariant: "I1",
        by: Scenario("a_revocation_is_heard_of_in_time_though_half_of_a_big_store_begins_to_hang"),
        file: "src/driver/fleet/looks.rs",
        old: "2_usize.saturating_pow(times)",
        new: "2_usize.saturating_pow(times.min(2))",
    },
    Mutation {
        name: "a_revocation_that_cannot_be_told_keeps_its_task",
        invariant: "I10",
        by: Scenario(
            "a_revocation_that_cannot_be_told_keeps_no_task_alive_for_ever_and_is_told_with_the_next_session",
        ),
        file: "src/driver/fleet/heartbeat.rs",
        old: "                if alone.lasts(now) >= self.sharing.member_lease {",
        new: "                if alone.lasts(now) >= self.sharing.member_lease * 1000 {",
    },
    Mutation {
        name: "a_change_that_cannot_be_told_keeps_its_task",
        invariant: "I10",
        by: Scenario(
            "a_change_of_defaults_that_cannot_be_told_keeps_no_task_alive_for_ever_and_is_told_with_the_next_session",
        ),
        file: "src/driver/fleet/heartbeat.rs",
        old: "let is_over = alone.lasts(core.now().monotonic) >= self.sharing.member_lease;",
        new: "let is_over = alone.lasts(core.now().monotonic) >= self.sharing.member_lease * 1000;",
    },
    Mutation {
        name: "refusals_elsewhere_do_not_count",
        invariant: "I8",
        by: Scenario(
            "a_key_that_the_server_refuses_from_now_on_costs_a_fleet_as_many_creates_as_one_process",
        ),
        file: "src/engine/cooldown.rs",
        old: "failures.max(elsewhere.saturating_add(1))",
        new: "failures.max(elsewhere.min(1))",
    },
    Mutation {
        name: "a_session_with_a_new_key_waits_for_the_next_look",
        invariant: "I8",
        by: Scenario(
            "a_new_key_costs_a_create_for_each_process_that_looked_before_the_first_session_was_published",
        ),
        file: "src/driver/fleet/heartbeat.rs",
        old: "                inner.own.notify_one();\n",
        new: "",
    },
    Mutation {
        name: "a_read_that_is_answered_ends_an_outage_of_writes",
        invariant: "I9",
        by: Scenario("a_store_that_answers_reads_alone_counts_as_down_once"),
        file: "src/driver/fleet/outage.rs",
        old: "is_some_and(|failure| failure.kind <= kind)",
        new: "is_some_and(|failure| failure.kind <= Kind::Write || kind == Kind::Read)",
    },
    Mutation {
        name: "creates_that_hang_take_all_places",
        invariant: "I9",
        by: Scenario("creates_that_hang_in_one_part_of_the_store_leave_places_to_those_of_another"),
        file: "src/engine/gate.rs",
        old: "            Place::Store if self.store_error(id, now).is_some() => {\n",
        new: "            Place::Store if self.store_error(id, now).is_some() && generation == 0 => {\n",
    },
];
