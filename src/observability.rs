//! What the crate tells `tracing` and `metrics`. This module has no items.
//!
//! Whatever happens to a session is told once for each cause, however many requests wait for it or notice it. The same
//! things come as values from [`SessionManager::events`](crate::SessionManager::events) and as sums from
//! [`SessionManager::stats`](crate::SessionManager::stats), which need no feature. Names, fields, levels and labels are
//! part of the API: what goes away or changes its meaning is a breaking change, new ones are not.
//!
//! No API key, viewing key or session id is in any of it. A [`Fingerprint`](crate::Fingerprint) stands for them: the
//! same in all logs of one process, another in the next.
//!
//! # Logs
//!
//! With the feature `tracing`, and the target `sipher_session`:
//!
//! | message | level | fields |
//! | --- | --- | --- |
//! | `session created` | debug | `session`, `generation`, `api_key`, `defaults`, `usable_for`; `replaces` (the predecessor's fingerprint) if it has one |
//! | `session of the fleet taken up`, `session of the fleet replaced` | debug | `session`, `generation`, `api_key` |
//! | `session left to the fleet` | debug | `session`, `generation`, `api_key` |
//! | `shared store down` | warn | those of the error |
//! | `shared store up` | info | |
//! | `server down` | warn | those of the error |
//! | `server up` | info | `lasted` |
//! | `record in the shared store refused` | warn | `slot` |
//! | `session retired` | debug | `session`, `generation`, `api_key`, `reason` (see [below](#reasons)) |
//! | `session deleted` | debug | `session`, `generation`, `api_key`, `already_gone` |
//! | `session left to expire` | debug, or warn with the error that kept it from being deleted | `session`, `generation`, `api_key`, `left`; those of the error |
//! | `crowded` | warn | `max_sessions` |
//! | `budget used up` | warn | `next_call_in` (how long a request that was refused would have to wait) |
//! | `budget free again` | info | `lasted` |
//! | `deletes pending` | warn | `pending` (how many) |
//! | `unknown default` | debug | `session`, `generation`, `api_key`, `default` (its name) |
//! | `create failed` | warn, or debug where a shutdown ended it | `api_key`, `defaults`; those of the error |
//! | `renewal failed` | warn | `session`, `generation`, `api_key`, `usable_for` (of the session that is still used); those of the error |
//! | `possible orphan` | warn | `api_key`, `defaults`; those of the error, if the call ended |
//! | `sessions suspected` | warn, or debug if there are none | `live_sessions` |
//! | `session verified` | debug | `session`, `generation`, `api_key` |
//! | `check failed` | warn | `session`, `generation`, `api_key`; those of the error |
//! | `session lost` | warn | `session`, `generation`, `api_key`, `unknown_for`, `requests` (that may have gone without their defaults) |
//! | `leaked` | warn | `api_key` (fingerprint of the one that went along), `to` (the origin); `session`, `generation` if it was one of the manager's |
//! | `wrong defaults` | warn | `session`, `generation`, `api_key`, `expected` (the session's chain), `answered` (the answer's) |
//! | `request outside of the base URL` | warn | `origin`, `base`, `reason`: `vendors_domain`, `loopback` or `api_key` |
//! | `defaults not put into the body` | warn | `reason` (see [below](#reasons)) |
//! | `late answer` | warn | `session`, `generation`, `api_key` |
//! | `sending without a session` | warn | `api_key` of the first; those of the error |
//! | `abandoned` | warn | `left_to_expire`, `possible_orphans` |
//! | `shut down` | info, or warn if anything is left on the server | `deleted`, `already_gone`, `left_to_expire`, `failed`, `possible_orphans` |
//!
//! | field | what it is |
//! | --- | --- |
//! | `session` | the fingerprint of its id |
//! | `api_key` | the [fingerprint](crate::ApiKey::fingerprint) of the API key, which tells the tenant |
//! | `defaults` | those that the session has, or was to have: its chain first, no viewing key |
//! | `generation` | which of the manager's sessions it is; they count up |
//! | `usable_for`, `unknown_for`, `left`, `lasted`, `next_call_in`, `retry_after`, `next_attempt_in`, `deadline` | seconds, with a fraction |
//! | `kind` | of the error, as in [`ErrorKind`](crate::ErrorKind) |
//! | `code`, `status`, `request_id` | what the server said, if it did |
//! | `retry_after` | how long until another try can succeed, if that is known; of a used up quota this crate asks sooner |
//! | `next_attempt_in` | how long until this crate makes its next call for a request like the one that failed, if that is known |
//! | `error` | the error with its causes, for people: the wording may change |
//!
//! # Spans
//!
//! All are at level info, so that warnings come with them where only debug is off.
//!
//! | span | around | fields |
//! | --- | --- | --- |
//! | `sipher_session::create` | one create with all its tries, or one check of a session under suspicion, and the deletes of what it replaces, if nobody else is at it | `generation`, `api_key` (its fingerprint), `tries` |
//! | `sipher_session::delete` | one call that deletes a session | `session`, `generation`, `api_key` |
//! | `sipher_session::shutdown` | a shutdown with its deletes | `deadline` |
//!
//! Creates and shutdowns go on when whoever began them is dropped. They are roots, and *follow from* the span they
//! were begun in.
//!
//! # Metrics
//!
//! With the feature `metrics`. All managers of a process add to the same series. Install the recorder before the first
//! manager is built: building one describes the metrics, and brings every series into being at zero.
//!
//! | metric | type | labels | counts |
//! | --- | --- | --- | --- |
//! | `sipher_session_creates_total` | counter | `outcome`: `created`, `failed` | creates that came to an outcome, renewals included |
//! | `sipher_session_adopted_total` | counter | | sessions of other processes that were taken up |
//! | `sipher_session_session_calls_total` | counter | `operation`: `create`, `delete`, `get` | the manager's calls to `/v1/sessions`; what the [`CallBudget`](crate::CallBudget) bounds |
//! | `sipher_session_retired_total` | counter | `reason`: see [below](#reasons) | sessions that are sent no more |
//! | `sipher_session_deleted_total` | counter | `outcome`: `deleted`, `already_gone` | sessions that are no more on the server |
//! | `sipher_session_left_to_expire_total` | counter | | sessions that were not worth a delete, or could not be deleted |
//! | `sipher_session_possible_orphans_total` | counter | | creates whose outcome was not known in time; one that ends after all is not taken back |
//! | `sipher_session_refused_for_budget_total` | counter | | requests that got no session, as the [`CallBudget`](crate::CallBudget) or all places were used up |
//! | `sipher_session_sent_without_total` | counter | | requests, because of [`OnNoSession::SendWithout`](crate::OnNoSession) |
//! | `sipher_session_outside_total` | counter | | requests that went elsewhere and yet looked like Sipher's |
//! | `sipher_session_late_answers_total` | counter | | answers that came after the end of the session that their request bore |
//! | `sipher_session_wrong_defaults_total` | counter | | answers that a [checked](crate::SessionLayer::checked) layer withheld: they name another chain than their session has |
//! | `sipher_session_confirmed_total` | counter | | answers that it found to name their session's chain |
//! | `sipher_session_inlined_total` | counter | | requests whose body names all defaults, with [`InlineDefaults`](crate::InlineDefaults) on |
//! | `sipher_session_not_inlined_total` | counter | `reason`: see [below](#reasons) | requests whose body was to name them and does not |
//! | `sipher_session_live_sessions` | gauge | | sessions that are put on requests |
//! | `sipher_session_create_duration_seconds` | histogram | | from the start of a create to its outcome, with all its waits and tries |
//!
//! A session that ends by itself, because no request needs it any more, leaves the gauge when the same manager creates
//! its next one, or goes: nothing runs while nothing happens. [`Stats::live_sessions`](crate::Stats) is exact. The gauge is
//! always set to the count of the whole process, so that it is right again at the next change where an exporter dropped
//! the series because it was idle.
//!
//! The histogram wants buckets from a round trip to `create_timeout`, such as 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20 and 30
//! seconds. With `metrics-exporter-prometheus`:
//! `set_buckets_for_metric(Matcher::Suffix("create_duration_seconds".into()), &[0.05, ..])`. Without buckets it is shown as a
//! summary, which cannot be added up over processes.
//!
//! # Reasons
//!
//! They are the [`RetireReason`](crate::RetireReason)s: `changed`, `evicted`, `fenced`, `invalidated`, `lapsed`, `leaked`,
//! `lost`, `replaced`, `revoked`, `shutdown`, `wrong_answer`.
//!
//! Those of `defaults not put into the body` and of `sipher_session_not_inlined_total` are the
//! [`NotInlined`](crate::NotInlined)s: `no_body`, `not_an_object`, `encoded`, `charset`, `too_long`, `body_failed`, `no_layer`.
//!
//! # Calling back
//!
//! A subscriber or recorder may call the manager: none of the manager's locks is held when it hears of something. Events come in the
//! order in which they happened. If two threads cause events at once, one of them tells both. So be quick: that thread serves a request.
//! One that panics when it hears of an event fails no request. To act on what happens to sessions, prefer
//! [`SessionManager::events`](crate::SessionManager::events).
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
//! `examples/metrics.rs` serves it over http. [`guide::observability`](crate::guide::observability) says what to alert on.
