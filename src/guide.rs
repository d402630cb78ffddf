//! The guide: one page for each topic.
//!
//! You can read each page without the others. If you are new here, read [`life`] and [`situations`] first. They say
//! what the layer does with your requests, and when it does not send one.
//!
//! | you want to | page |
//! | --- | --- |
//! | know when sessions are created, renewed and deleted | [`life`] |
//! | know what happens when something breaks | [`situations`] |
//! | know how a restart of the server is noticed, and what it costs | [`restarts`] |
//! | know which requests get a session | [`requests`] |
//! | put the layer in the right place among others | [`stack`] |
//! | serve many API keys from one process | [`tenants`] |
//! | run many processes on one API key | [`fleet`] |
//! | configure it by file, by environment or in code | [`configuration`] |
//! | log, measure and alert | [`observability`] |
//! | use the client that openapi-generator writes | [`sdk`] |
//! | test your own service without a server | [`testing`] |
//! | return errors to your callers | [`errors`] |
//! | find out why requests fail | [`troubleshooting`] |
//! | choose a runtime, fork, shut down | [`process`] |
//! | know what it costs | [`performance`] |
//! | copy something that works | [`recipes`] |
//!
//! This module has no items. It exists in the documentation only.

/// How long a session is used, and when it is replaced.
///
#[doc = include_str!("guide/life.md")]
pub mod life {}

/// What happens when something breaks, changes or ends.
///
#[doc = include_str!("guide/situations.md")]
pub mod situations {}

/// How a restart of the server is noticed, what that costs, and what cannot be seen.
///
#[doc = include_str!("guide/restarts.md")]
pub mod restarts {}

/// Which requests get a session, and which one.
///
#[doc = include_str!("guide/requests.md")]
pub mod requests {}

/// Where the layer belongs among retries, timeouts, buffers and redirects.
///
#[doc = include_str!("guide/stack.md")]
pub mod stack {}

/// Many API keys in one process.
///
#[doc = include_str!("guide/tenants.md")]
pub mod tenants {}

/// Many processes on one API key.
///
#[doc = include_str!("guide/fleet.md")]
pub mod fleet {}

/// Settings by code, file and environment.
///
#[doc = include_str!("guide/configuration.md")]
pub mod configuration {}

/// What to log, what to measure, and when to wake somebody.
///
#[doc = include_str!("guide/observability.md")]
pub mod observability {}

/// With the generated SDK.
///
#[doc = include_str!("guide/sdk.md")]
pub mod sdk {}

/// Testing your own service with [`FakeSipher`](crate::testing::FakeSipher).
///
#[doc = include_str!("guide/testing.md")]
pub mod testing {}

/// What to return to your own callers when a request fails.
///
#[doc = include_str!("guide/errors.md")]
pub mod errors {}

/// Why requests fail, kind by kind.
///
#[doc = include_str!("guide/troubleshooting.md")]
pub mod troubleshooting {}

/// Runtimes, cancellation, forks and shutdown.
///
#[doc = include_str!("guide/process.md")]
pub mod process {}

/// What a request costs, and how the costs grow.
///
#[doc = include_str!("guide/performance.md")]
pub mod performance {}

/// Twelve short programs to copy.
///
#[doc = include_str!("guide/recipes.md")]
pub mod recipes {}
