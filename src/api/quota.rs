//! The rest of an API key's daily quota, from `GET /v1/billing/usage`. That call counts against no limit.

use http::{Method, StatusCode};
use serde::Deserialize;

use super::SessionsApi;
use crate::error::Error;

/// How many calls a key has made today, and how many it may make. The calls of all processes count. Calls before a
/// restart are missing if the server keeps its counts in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Quota {
    #[serde(rename = "count")]
    pub(crate) used: u64,
    #[serde(rename = "quota")]
    pub(crate) of: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Usage {
    total: u64,
    quota_total: u64,
    categories: Categories,
}

#[derive(Deserialize)]
struct Categories {
    session: Quota,
}

impl Usage {
    fn of_all(&self) -> Quota {
        Quota {
            used: self.total,
            of: self.quota_total,
        }
    }
}

impl SessionsApi {
    /// Fetches the quota of session calls, or the quota of all calls if less is left of that.
    ///
    /// # Errors
    ///
    /// The kinds of [every call](Self).
    pub(crate) async fn quota(&self) -> Result<Quota, Error> {
        let call = self.request::<()>(Method::GET, "/v1/billing/usage", None)?;
        let (usage, _): (Usage, _) = self.send(call, StatusCode::OK, &[]).await?;
        let (of_sessions, of_all) = (usage.categories.session, usage.of_all());
        Ok(if of_all.left() < of_sessions.left() {
            of_all
        } else {
            of_sessions
        })
    }
}

impl Quota {
    fn left(self) -> u64 {
        self.of.saturating_sub(self.used)
    }

    /// Returns whether less than a quarter is left. Then the rest should go to creates, which requests need more than
    /// checks and deletes.
    pub(crate) fn is_nearly_used_up(self) -> bool {
        self.left() < self.of / 4
    }
}
