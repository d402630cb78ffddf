//! Problems that users of comparable clients had, and the tests that keep this crate free of them.
//!
//! | pain | what users suffered | test |
//! | --- | --- | --- |
//! | 1 | a renewal held up every request | `renewal::thousands_of_requests_pass_through_a_slow_renewal_and_none_waits` |
//! | 2 | a fleet renewed at the same instant | `renewal::a_fleet_that_started_at_one_instant_renews_spread_over_minutes` |
//! | 3 | if the first caller was cancelled, all failed | `callers::the_first_caller_may_be_dropped_at_any_await_point`, `callers::the_first_caller_may_have_a_deadline_at_any_moment` |
//! | 4 | pitfalls of a cache that runs the fetch inside of itself | `callers::three_hundred_leaders_aborted_one_after_the_other_cost_nobody_anything`, `callers::a_leader_that_nobody_polls_and_followers_without_patience_do_not_keep_the_create_from_ending` |
//! | 5 | the outcome of a create was unknown | `failures::every_session_that_a_lost_answer_leaves_behind_is_counted_and_told_of`, `failures::a_caller_that_gives_up_leaves_no_orphan` |
//! | 6 | a failed renewal ended a good credential | `renewal::whatever_becomes_of_a_renewal_the_session_is_used_up_to_its_own_end`, `renewal::a_renewal_that_is_a_sign_of_trouble_costs_no_request_while_the_server_knows_the_session` |
//! | 7 | one error ended renewal permanently | `failures::after_hours_of_any_failure_requests_go_out_again_by_themselves` |
//! | 8 | calls in a loop | `failures::a_hundred_tenants_under_any_failure_keep_the_published_bound_and_the_floor`, `failures::hours_of_changing_failures_keep_the_published_bound_and_the_floor`, `failures::short_lives_are_not_renewed_in_a_loop` |
//! | 9 | clients ignored the server's rate limit | `failures::no_session_call_of_anybodys_comes_before_the_server_said`, `failures::a_used_up_quota_is_probed_rarely_and_holds_back_its_own_key_alone` |
//! | 10 | waiting callers failed one after the other, each with a call of its own | `callers::a_thousand_callers_share_one_failure_and_so_do_those_who_come_right_after` |
//! | 11 | callers hung together with the server | `callers::a_source_that_hangs_holds_each_caller_for_max_wait_and_nobody_for_ever`, `callers::a_merely_slow_source_is_waited_for_once_and_who_may_go_without_goes_after_max_wait` |
//! | 12 | a machine slept through the expiry | `lost::however_long_a_machine_sleeps_at_whatever_age_no_dead_id_is_sent`, `lost::a_session_that_aged_on_its_way_through_the_sleep_is_not_used`, `lost::a_back_off_goes_by_while_the_machine_sleeps` |
//! | 13 | a clock was wrong | `lost::clocks_that_are_days_apart_either_way_cost_no_call_and_send_no_dead_id`, `lost::a_clock_that_is_set_in_the_middle_of_a_life_sends_no_dead_id` |
//! | 14 | the server had forgotten the session | `lost::of_thirty_restarts_that_a_request_met_none_costs_a_later_request_its_defaults`, `lost::a_session_that_the_server_dropped_silently_is_found_by_asking` |
//! | 15 | a fallback changed what a request meant | `lost::without_a_session_nothing_is_sent_whatever_the_reason`, `lost::a_session_that_means_something_else_than_was_asked_for_is_never_used`, `lost::a_session_whose_defaults_were_changed_elsewhere_is_told_of_and_replaced` |
//! | 16 | a shutdown that deleted nothing, or never ended | `ending::a_shutdown_ends_by_its_deadline_and_says_what_became_of_every_session`, `ending::a_manager_that_is_dropped_says_how_many_sessions_it_leaves` |
//! | 17 | tasks outlived their client | `ending::a_thousand_managers_dropped_at_any_moment_leave_no_task_and_make_no_call`, `ending::a_manager_at_rest_has_no_task` |
//! | 18 | renewals for tenants without requests | `renewal::of_fifty_tenants_only_the_one_that_is_used_is_renewed` |
//! | 19 | a redirect carried the header to another server | the redirect policy: see tests/redirects |
//! | 20 | one tenant's credential served another | `tenants::tenants_and_defaults_that_take_turns_each_get_their_own_session`, `tenants::a_tenant_that_is_refused_or_hangs_is_nobody_elses_trouble` |
//! | 21 | a cache without a bound, or emptied all at once | `tenants::one_tenant_too_many_costs_one_session_and_not_all_of_them`, `tests/lifecycle/budget.rs::a_flood_of_wrong_keys_makes_no_more_calls_than_the_budget_and_evicts_nobody` |
//! | 22 | a rejected credential was used again | `tenants::a_herd_that_rejects_one_session_gets_one_successor_that_was_begun_after_it`, `tenants::a_joiner_is_not_handed_what_was_rejected_before_it_looked`, `tests/threads.rs::a_request_that_starts_after_an_invalidation_never_bears_the_older_session` |
//! | 23 | the old credential died while requests used it | `ending::a_predecessor_lives_until_the_last_request_that_bears_it_has_its_answer`, `ending::requests_that_were_given_up_still_keep_the_predecessor_for_a_while` |
//! | 24 | calls on a service that was not ready | `tower::a_limit_and_a_buffer_below_are_neither_overrun_nor_drained`, `tests/layer/readiness.rs::the_ready_service_is_called_whether_or_not_it_has_to_wait` |
//! | 25 | stale headers and empty bodies on a retry | `tower::below_a_retry_each_attempt_gets_the_session_of_its_own_moment`, `tower::no_body_is_touched_and_no_request_is_sent_twice_whatever_comes_of_it` |
//! | 26 | ids in logs | `secrets::nothing_shows_an_id_or_a_key_and_yet_all_that_is_told_of_one_session_can_be_put_together`, `tests/signals/main.rs::a_peer_that_repeats_all_it_knows_brings_no_secret_into_any_signal` |
//! | 27 | no runtime, or one that had ended | `tower::a_layer_outside_of_any_runtime_and_after_its_own_gives_errors_and_no_panic`, `tower::a_create_that_panics_is_an_error_within_the_bound_and_not_the_end`, `tests/threads.rs::a_runtime_that_ends_with_its_create_under_way_holds_nobody_up` |
//! | 28 | nobody could say when a renewal starts | `renewal::a_renewal_starts_at_the_published_moment_and_an_id_ends_at_the_published_moment` |
//! | 29 | processes shared one credential | `tenants::processes_with_one_key_do_not_end_each_others_sessions` |

// For the helper functions, and to measure how long something took.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::unchecked_time_subtraction
)]

#[path = "../support/mod.rs"]
mod support;

mod callers;
mod ending;
mod failures;
mod lost;
mod renewal;
mod secrets;
mod table;
mod tenants;
mod tower;

use ::tower::ServiceExt;
use http::Response;
use sipher_session::{
    BoxError, Event, Events, SessionManager,
    testing::{FakeBody, What},
};
use support::{Call, SECOND, Setup, generate};

/// All outcomes of a create except the requested session.
fn failures() -> Vec<What> {
    [plain_failures(), signs_of_trouble()].concat()
}

/// Failures that say nothing about existing sessions.
fn plain_failures() -> Vec<What> {
    let quota = r#"{"success":false,"error":{"code":"DAILY_QUOTA_EXCEEDED","message":"m"}}"#;
    let limited = What::RateLimited {
        retry_after: Some(30),
        in_body: false,
    };
    vec![
        What::Status(400),
        What::Status(401),
        What::Status(402),
        What::Status(403),
        What::Status(408),
        What::Status(410),
        limited,
        What::Answer {
            status: 429,
            headers: Vec::new(),
            body: quota.into(),
        },
        What::Status(500),
        What::Html(200),
        What::Html(404),
        What::RedirectTo("https://elsewhere.example/".into()),
        What::Huge(100_000),
        What::Malformed,
        What::Hang,
        What::HangAnswer,
        What::Delay(3_600 * SECOND),
        What::EchoWrong,
        What::DropDefault("chain".into()),
        What::ShortLife(20 * SECOND),
    ]
}

/// Failures after which no session is certain until the server was asked.
fn signs_of_trouble() -> Vec<What> {
    vec![
        What::Status(502),
        What::Status(503),
        What::Html(504),
        What::Refuse,
        What::LoseRequest,
        What::LoseAnswer,
        What::HalfBody,
    ]
}

/// A call with an API key of its own.
fn as_tenant(key: &str) -> Call {
    let mut request = generate();
    request
        .headers_mut()
        .insert("x-api-key", key.parse().unwrap());
    request
}

async fn call_as(
    setup: &Setup,
    manager: &SessionManager,
    key: &str,
) -> Result<Response<FakeBody>, BoxError> {
    setup.service(manager).oneshot(as_tenant(key)).await
}

/// Returns the events since the last call.
fn told(events: &mut Events) -> Vec<Event> {
    std::iter::from_fn(|| events.try_recv()).collect()
}
