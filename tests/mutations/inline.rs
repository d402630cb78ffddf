//! Faults in the defaults that are put into bodies, and in requests that go out without a session.

use super::list::{
    By::{Life, Test},
    Mutation,
};

pub(crate) const OF_INLINE: &[Mutation] = &[
    Mutation {
        name: "the_defaults_of_before_a_change_are_merged",
        invariant: "I11",
        by: Life(170),
        file: "src/front/change.rs",
        old: "        self.switch_now(older, newer);\n        if let Some(lease) = lease {\n",
        new: "        if lease.is_some() {\n            self.switch_now(older, newer);\n        }\n        if let Some(lease) = lease {\n",
    },
    Mutation {
        name: "a_body_that_was_cut_at_the_limit_is_sent_as_if_it_were_whole",
        invariant: "I12",
        by: Life(32),
        file: "src/body.rs",
        old: "Some(body) if !is_whole => Rest::Begun { body },",
        new: "Some(body) if !is_whole && error.is_some() => Rest::Begun { body },",
    },
    Mutation {
        name: "a_session_is_not_judged_again_after_a_slow_body",
        invariant: "I1",
        by: Life(38),
        file: "src/inline/future.rs",
        old: "Chosen::Session(unsent) if unsent.is_in_order() => {",
        new: "Chosen::Session(unsent) if unsent.is_in_order() || unsent.defaults().is_some() => {",
    },
    Mutation {
        name: "a_body_that_could_not_be_merged_goes_out_with_neither",
        invariant: "I12",
        by: Life(32),
        file: "src/model/inlining/outcome.rs",
        old: "Self::Not { reason } => reason.is_servers(),",
        new: "Self::Not { reason } => reason.is_servers() || reason != NotInlined::NoLayer,",
    },
    Mutation {
        name: "an_inline_layer_without_a_decision_sends_all_the_same",
        invariant: "I12",
        by: Test {
            target: "inline",
            name: "an_inline_layer_that_no_session_layer_has_decided_for_sends_nothing",
        },
        file: "src/inline/layer.rs",
        old: "Found::Nothing if !self.needs_decision(&request) => {}",
        new: "Found::Nothing => {}",
    },
    Mutation {
        name: "a_handoff_is_used_twice",
        invariant: "I12",
        by: Test {
            target: "inline",
            name: "a_request_that_is_sent_twice_between_the_layers_is_refused",
        },
        file: "src/inline/handoff.rs",
        old: "if self.0.is_taken.swap(true, Ordering::AcqRel) {",
        new: "if self.0.is_taken.swap(true, Ordering::AcqRel) && false {",
    },
    Mutation {
        name: "what_goes_out_without_a_session_says_that_it_bore_one",
        invariant: "I12",
        by: Test {
            target: "inline",
            name: "while_the_server_is_asked_about_a_sign_requests_go_on_without_the_id",
        },
        file: "src/front/waiting.rs",
        old: "        let bears = Bears::Inline(partition);\n",
        new: "        let session = waiting.manager.core().cached(partition.id);\n        let bears = session.map_or(Bears::Inline(partition), Bears::Remembered);\n",
    },
    Mutation {
        name: "a_request_that_needs_no_session_waits_for_one",
        invariant: "I7",
        by: Life(32),
        file: "src/inline/course.rs",
        old: "if inlined.needs_no_session(method) {",
        new: "if inlined.needs_no_session(method) && unread.is_some() {",
    },
    Mutation {
        name: "a_shutdown_lets_requests_out_that_need_no_session",
        invariant: "I11",
        by: Life(35),
        file: "src/front/waiting.rs",
        old: "if self.manager.core().stage() != Stage::Open {",
        new: "if self.manager.core().stage() == Stage::Abandoned {",
    },
    Mutation {
        name: "a_session_that_ends_while_a_body_is_read_counts_as_met_late",
        invariant: "I1",
        by: Life(53),
        file: "src/front/in_flight.rs",
        old: "        self.0.release();\n",
        new: "        self.0.answered();\n",
    },
    Mutation {
        name: "answers_to_requests_without_a_session_are_not_looked_at",
        invariant: "I12",
        by: Life(1760),
        file: "src/front/in_flight.rs",
        old: "core.settings.inline.makes_sessions.then(|| Sent {",
        new: "(!core.settings.inline.makes_sessions).then(|| Sent {",
    },
    Mutation {
        name: "an_inline_layer_is_taken_for_granted",
        invariant: "I6",
        by: Test {
            target: "inline",
            name: "another_stack_of_the_same_manager_without_an_inline_layer_sends_nothing_without_a_session",
        },
        file: "src/layer/service.rs",
        old: "self.has_inline_layer = is_there;",
        new: "self.has_inline_layer = is_there || true;",
    },
    Mutation {
        name: "a_request_without_a_type_needs_no_session",
        invariant: "I12",
        by: Test {
            target: "inline",
            name: "a_request_that_a_client_below_may_complete_is_not_sent_without_a_session",
        },
        file: "src/model/inlining/outcome.rs",
        old: "} => method.is_some_and(has_no_body),",
        new: "} => method.is_none_or(|method| has_no_body(method) || method == Method::POST),",
    },
    Mutation {
        name: "a_wrong_answer_to_a_merged_body_costs_its_session",
        invariant: "I8",
        by: Test {
            target: "inline",
            name: "a_wrong_answer_to_a_merged_body_costs_no_session",
        },
        file: "src/front/expectation.rs",
        old: "self.session.as_ref().filter(|_| !self.is_in_body)",
        new: "self.session.as_ref()",
    },
];
