//! Where an answer came from, as tower-http's `FollowRedirect` notes it in passing.

use http::{Extensions, Uri};

/// The last URI that was asked, by each `FollowRedirect` that the answer came through.
///
/// Versions 0.6 and 0.7 of tower-http live side by side in real trees (`reqwest` stays on 0.6), and each notes it in a type of
/// its own.
#[cfg(feature = "tower-http")]
#[inline]
pub(crate) fn uris(extensions: &Extensions) -> impl Iterator<Item = &Uri> {
    let by_06 = extensions.get::<tower_http::follow_redirect::RequestUri>();
    let by_07 = extensions.get::<tower_http_07::follow_redirect::RequestUri>();
    let uris = [by_06.map(|uri| &uri.0), by_07.map(|uri| &uri.0)];
    uris.into_iter().flatten()
}

#[cfg(not(feature = "tower-http"))]
pub(crate) fn uris(_: &Extensions) -> impl Iterator<Item = &Uri> {
    std::iter::empty()
}
