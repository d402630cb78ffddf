//! Reads which URI an answer came from. tower-http's `FollowRedirect` notes the URI in the answer's extensions.

use http::{Extensions, Uri};

/// Calls `see` for each `FollowRedirect` that the answer passed through, with the last URI that it called.
///
/// Versions 0.6 and 0.7 of tower-http are often in one dependency tree, because `reqwest` still uses 0.6. Each
/// version notes the URI in a type of its own.
#[cfg(feature = "tower-http")]
#[inline]
pub(crate) fn each_uri<'a>(extensions: &'a Extensions, mut see: impl FnMut(&'a Uri)) {
    if extensions.is_empty() {
        return;
    }
    if let Some(uri) = extensions.get::<tower_http::follow_redirect::RequestUri>() {
        see(&uri.0);
    }
    if let Some(uri) = extensions.get::<tower_http_07::follow_redirect::RequestUri>() {
        see(&uri.0);
    }
}

#[cfg(not(feature = "tower-http"))]
pub(crate) fn each_uri<'a>(_: &'a Extensions, _: impl FnMut(&'a Uri)) {}
