//! Checks that the server reads a merged body without a session as it reads the original body with a session.
#![cfg(feature = "testing")] // the fake server reads bodies as the server does

mod differential;
mod generate;
mod recorded;

use http::{HeaderMap, header::CONTENT_LENGTH};

use super::{Merge, head, head::Reading, merge};
use crate::{api::SessionDefaults, model::inlining::NotInlined};

/// Returns the body that a layer would send instead of this one.
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

/// Returns the headers for a merged body.
fn adjusted(mut headers: HeaderMap, body: &[u8]) -> HeaderMap {
    if let Some(length) = headers.get_mut(CONTENT_LENGTH) {
        *length = body.len().into();
    }
    headers
}
