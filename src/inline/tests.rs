//! A merged body without a session, against the same body with one.
#![cfg(feature = "testing")] // which has the server's own reading

mod differential;
mod generate;
mod recorded;

use http::{HeaderMap, header::CONTENT_LENGTH};

use super::{Merge, head, head::Reading, merge};
use crate::{api::SessionDefaults, model::inlining::NotInlined};

/// What goes out in place of a body, as a layer decides it.
fn inlined(
    headers: &HeaderMap,
    body: &[u8],
    defaults: &SessionDefaults,
) -> Result<Option<Vec<u8>>, NotInlined> {
    if let Reading::Not(reason) = head::reading(headers) {
        return Err(reason);
    }
    if body.is_empty() && !head::empty_is_object(headers) {
        return Err(NotInlined::NoBody);
    }
    match merge(body, defaults) {
        Merge::Complete => Ok(None),
        Merge::Merged(merged) => Ok(Some(merged)),
        Merge::NotAnObject => Err(NotInlined::NotAnObject),
    }
}

/// The headers that fit a merged body.
fn adjusted(mut headers: HeaderMap, body: &[u8]) -> HeaderMap {
    if let Some(length) = headers.get_mut(CONTENT_LENGTH) {
        *length = body.len().into();
    }
    headers
}
