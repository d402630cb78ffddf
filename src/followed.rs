//! Where an answer came from, as tower-http's `FollowRedirect` notes it in passing.

use http::{Extensions, Uri};

/// The last URI that was asked.
#[cfg(feature = "tower-http")]
pub(crate) fn last_uri(extensions: &Extensions) -> Option<&Uri> {
    use tower_http::follow_redirect::RequestUri;
    Some(&extensions.get::<RequestUri>()?.0)
}

#[cfg(not(feature = "tower-http"))]
pub(crate) fn last_uri(_: &Extensions) -> Option<&Uri> {
    None
}
