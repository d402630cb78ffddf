//! What the crate reports through `tracing` and `metrics`. This module has no items.
//!
//! The crate reports each thing that happens to a session once for each cause, however many requests wait for the
//! session. You can get the same reports without any feature: as values from
//! [`SessionManager::events`](crate::SessionManager::events), and as sums from
//! [`SessionManager::stats`](crate::SessionManager::stats).
//!
//! Names, fields, levels and labels are part of the API. Removing one, or changing its meaning, is a breaking change.
//! Adding one is not.
//!
//! No API key, viewing key or session id is ever logged or exported. A [`Fingerprint`](crate::Fingerprint) stands for
//! each of them. Within one process, the same value always has the same fingerprint. The next process uses other
//! fingerprints.
//!
//! # Logs
//!
//! Logs need the feature `tracing`. Their target is `sipher_session`. The column *alert* says whether to wake somebody:
//!
//! | message | level | alert | fields |
//! | --- | --- | --- | --- |
//! | `session created` | debug | no | `session`, `generation`, `api_key`, `defaults`, `usable_for`; `replaces` (the predecessor's fingerprint) if it has one |
//! | `session of the fleet taken up`, `session of the fleet replaced` | debug | no | `session`, `generation`, `api_key` |
//! | `session left to the fleet` | debug | no | `session`, `generation`, `api_key` |
//! | `shared store down` | warn | if `shared store up` does not follow in minutes | those of the error |
//! | `shared store up` | info | no | |
//! | `server down` | warn | if `server up` does not follow in a few minutes | those of the error |
//! | `server up` | info | no | `lasted` |
//! | `record in the shared store refused` | warn | yes, unless a rollout is under way | `slot` |
//! | `session retired` | debug | no | `session`, `generation`, `api_key`, `reason` (see [below](#reasons)) |
//! | `session deleted` | debug | no | `session`, `generation`, `api_key`, `already_gone` |
//! | `session left to expire` | debug; warn if deleting it failed | no | `session`, `generation`, `api_key`, `left`; those of the error, if deleting it failed |
//! | `crowded` | warn | no; raise `max_sessions` | `max_sessions` |
//! | `budget used up` | warn | if `budget free again` does not follow in minutes | `next_call_in` (how long a request that was refused would have to wait) |
//! | `budget free again` | info | no | `lasted` |
//! | `deletes pending` | warn | no; raise `call_budget` | `pending` (how many) |
//! | `unknown default` | debug | no | `session`, `generation`, `api_key`, `default` (its name) |
//! | `create failed` | warn; debug if a shutdown ended the create | if the error is not transient | `api_key`, `defaults`; those of the error |
//! | `renewal failed` | warn | no | `session`, `generation`, `api_key`, `usable_for` (of the session that is still used); those of the error |
//! | `possible orphan` | warn | if there are many in an hour | `api_key`, `defaults`; those of the error, if the call ended |
//! | `sessions suspected` | warn; debug if there are no live sessions | if there are many in an hour | `live_sessions` |
//! | `session verified` | debug | no | `session`, `generation`, `api_key` |
//! | `check failed` | warn | no | `session`, `generation`, `api_key`; those of the error |
//! | `session lost` | warn | if `requests` is above 0 and money depends on the defaults | `session`, `generation`, `api_key`, `unknown_for`, `requests` (how many may have been answered without their defaults) |
//! | `leaked` | warn | yes: replace the API key | `api_key` (fingerprint of the key that was sent along), `to` (the origin); `session`, `generation` if the session was one of the manager's |
//! | `wrong defaults` | warn | if there are several in an hour | `session`, `generation`, `api_key`, `expected` (the session's chain), `answered` (the answer's) |
//! | `request outside of the base URL` | warn | if money depends on the defaults | `origin`, `base`, `reason`: `vendors_domain`, `loopback` or `api_key` |
//! | `defaults not put into the body` | warn | no; find the cause | `reason` (see [below](#reasons)) |
//! | `late answer` | warn | no; look for a queue below the layer | `session`, `generation`, `api_key` |
//! | `sending without a session` | warn | if money depends on the defaults | `api_key` of the first request; those of the error |
//! | `abandoned` | warn | no; call `shutdown` before the last handle is dropped | `left_to_expire`, `possible_orphans` |
//! | `shut down` | info; warn if sessions may be left on the server | no | `deleted`, `already_gone`, `left_to_expire`, `failed`, `possible_orphans` |
//!
//! | field | what it is |
//! | --- | --- |
//! | `session` | the fingerprint of the session's id |
//! | `api_key` | the [fingerprint](crate::ApiKey::fingerprint) of the API key, which identifies the tenant |
//! | `defaults` | the defaults that the session has, or was to have: the chain first, no viewing key |
//! | `generation` | the number of the session within its manager; a newer session has a higher number |
//! | `usable_for`, `unknown_for`, `left`, `lasted`, `next_call_in`, `retry_after`, `next_attempt_in`, `deadline` | seconds, with a fraction |
//! | `kind` | the [`ErrorKind`](crate::ErrorKind) of the error |
//! | `code`, `status`, `request_id` | the values in the server's answer, if there was one |
//! | `retry_after` | how long until another try can succeed, if known; when a quota is used up, this crate tries earlier |
//! | `next_attempt_in` | how long until this crate makes its next call for such a request, if known |
//! | `error` | the error with its causes, for people: the wording may change |
//!
//! # Spans
//!
//! All spans have the level info. So warnings keep their spans when only debug is turned off.
//!
//! | span | around | fields |
//! | --- | --- | --- |
//! | `sipher_session::create` | one create with all its tries, or one check of a session under suspicion; also the deletes of the sessions that it replaces, unless another task is already deleting | `generation`, `api_key` (its fingerprint), `tries` |
//! | `sipher_session::delete` | one call that deletes a session | `session`, `generation`, `api_key` |
//! | `sipher_session::shutdown` | a shutdown with its deletes | `deadline` |
//!
//! Creates and shutdowns go on when the future that started them is dropped. So their spans are roots. Each one
//! *follows from* the span in which it was started.
//!
//! # Metrics
//!
//! Metrics need the feature `metrics`. All managers of a process add to the same series. Install the recorder before
//! you build the first manager: the first build describes the metrics and creates every series, with the value zero.
//!
//! | metric | type | labels | counts |
//! | --- | --- | --- | --- |
//! | `sipher_session_creates_total` | counter | `outcome`: `created`, `failed` | creates that have ended, renewals included |
//! | `sipher_session_adopted_total` | counter | | sessions of other processes that this process has adopted |
//! | `sipher_session_session_calls_total` | counter | `operation`: `create`, `delete`, `get` | the manager's calls to `/v1/sessions`, which the [`CallBudget`](crate::CallBudget) bounds |
//! | `sipher_session_retired_total` | counter | `reason`: see [below](#reasons) | sessions that are not sent any more |
//! | `sipher_session_deleted_total` | counter | `outcome`: `deleted`, `already_gone` | sessions that are not on the server any more |
//! | `sipher_session_left_to_expire_total` | counter | | sessions that were not worth a delete, or could not be deleted |
//! | `sipher_session_possible_orphans_total` | counter | | creates whose outcome was not known in time; never reduced, even if the outcome is known later |
//! | `sipher_session_refused_for_budget_total` | counter | | requests that got no session because the [`CallBudget`](crate::CallBudget) was used up, or because there was no room for another session |
//! | `sipher_session_sent_without_total` | counter | | requests that were sent without a session, as [`OnNoSession::SendWithout`](crate::OnNoSession) allows |
//! | `sipher_session_outside_total` | counter | | requests that looked like Sipher's and went to another origin |
//! | `sipher_session_late_answers_total` | counter | | answers that came after the end of the session that their request carried |
//! | `sipher_session_wrong_defaults_total` | counter | | answers that a [checked](crate::SessionLayer::checked) layer withheld, because they name another chain than their session has |
//! | `sipher_session_confirmed_total` | counter | | answers that a checked layer confirmed: they name their session's chain |
//! | `sipher_session_inlined_total` | counter | | requests whose body names all defaults, with [`InlineDefaults`](crate::InlineDefaults) on |
//! | `sipher_session_not_inlined_total` | counter | `reason`: see [below](#reasons) | requests whose body should name all defaults and does not |
//! | `sipher_session_live_sessions` | gauge | | sessions that are put on requests |
//! | `sipher_session_create_duration_seconds` | histogram | | from the start of a create to its outcome, with all its waits and tries |
//!
//! An idle session that expires stays in the gauge until the same manager creates its next session, or is dropped: no
//! task runs while the manager is idle. [`Stats::live_sessions`](crate::Stats) is exact.
//!
//! Each change sets the gauge to the count of the whole process. If an exporter drops the series because it was idle,
//! the next change restores the right value.
//!
//! Give the histogram buckets that reach from one round trip to `create_timeout`, such as 0.05, 0.1, 0.25, 0.5, 1, 2.5,
//! 5, 10, 20 and 30 seconds. With `metrics-exporter-prometheus`:
//! `set_buckets_for_metric(Matcher::Suffix("create_duration_seconds".into()), &[0.05, ..])`. Without buckets it is
//! shown as a summary, which cannot be added up over processes.
//!
//! # Reasons
//!
//! The reasons why a session is retired are the [`RetireReason`](crate::RetireReason)s: `changed`, `evicted`, `fenced`,
//! `invalidated`, `lapsed`, `leaked`, `lost`, `replaced`, `revoked`, `shutdown`, `wrong_answer`.
//!
//! The reasons of `defaults not put into the body` and of `sipher_session_not_inlined_total` are the
//! [`NotInlined`](crate::NotInlined) values: `no_body`, `not_an_object`, `encoded`, `charset`, `too_long`,
//! `body_failed`, `no_layer`.
//!
//! # Calling back
//!
//! A subscriber or recorder may call the manager: no lock of the manager is held while it runs. Events arrive in the
//! order in which they happened. If two threads cause events at the same time, one of the two threads reports both.
//! That thread serves a request, so return quickly. A subscriber or recorder that panics fails no request. To act on
//! what happens to sessions, prefer [`SessionManager::events`](crate::SessionManager::events).
//!
//! # Example
//!
#![cfg_attr(all(feature = "metrics", feature = "testing"), doc = "```")]
#![cfg_attr(not(all(feature = "metrics", feature = "testing")), doc = "```text")]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sipher_session::BoxError> {
//! use metrics_exporter_prometheus::PrometheusBuilder;
//! use sipher_session::{SessionManager, api::Transport, testing::{FakeSipher, Tier}};
//!
//! // For the logs: `tracing_subscriber::fmt().with_env_filter("sipher_session=debug").init();`
//! let metrics = PrometheusBuilder::new().install_recorder()?; // first
//! let sipher = FakeSipher::new();
//! let sessions = SessionManager::builder()
//!     .api_key(sipher.api_key(Tier::Pro))
//!     .transport(Transport::new(sipher))
//!     .build()?;
//! sessions.session().await?;
//! assert!(metrics.render().contains("sipher_session_live_sessions 1"));
//! # Ok(()) }
//! ```
//!
//! `examples/metrics.rs` serves the metrics over http. [`guide::observability`](crate::guide::observability) has alert
//! rules.
