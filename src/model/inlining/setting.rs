//! The setting for inline defaults.

use serde::{Deserialize, Serialize};

/// Whether defaults are also put into request bodies, where the server would put them.
///
/// The server uses a session for one thing only: it adds the session's defaults to the JSON object in a request's body,
/// each one that the body lacks. So a body that names everything itself gets the right answer even if the server has
/// forgotten the session.
///
/// | | request with a session | request for which there is none |
/// | --- | --- | --- |
/// | `Off` | header | not sent, see [`OnNoSession`](crate::OnNoSession) |
/// | `WithoutSession` | header | body |
/// | `Always` | header and body | body |
///
/// See the module [`inline`](crate::inline) for what is put in and when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InlineDefaults {
    /// Bodies stay as they are.
    #[default]
    Off,
    /// Merges the bodies of requests that carry no session. **This does not help if the server has silently forgotten a
    /// session.** Choose it if bodies should stay unchanged whenever possible.
    WithoutSession,
    /// Merges every body that lacks one of the defaults. Choose this if the right chain matters more than an unchanged
    /// body.
    Always,
}
