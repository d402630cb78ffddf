//! What is asked for.

use serde::{Deserialize, Serialize};

/// Whether defaults are put into the bodies of requests as well, where the server would put them.
///
/// The server's only use of a session is to fill its defaults into JSON objects, key by key, where the request has no such key.
/// A body that names everything itself is right whatever the server has forgotten.
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
    /// Into bodies of requests that bear no session. **A session that the server has forgotten unnoticed is not made up
    /// for**: choose this if bodies should stay as they are whenever possible.
    WithoutSession,
    /// Into every body that lacks one of them. Choose this where the right chain matters more than an untouched body.
    Always,
}
