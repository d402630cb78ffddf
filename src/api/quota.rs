//! What is left of a key's day: `GET /v1/billing/usage`, which counts against nothing itself.

use http::{Method, StatusCode};
use serde::Deserialize;

use super::SessionsApi;
use crate::error::Error;

/// How many calls of a day a key has made, of how many. All its users' calls are in it, but not those from before a restart of a server
/// that keeps its counts in memory.
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
    /// What is left to session calls: their own quota, or that of all calls if there is less left of it.
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

    /// Whether what is left should go to creates alone, which requests need more than checks and deletes.
    pub(crate) fn is_nearly_used_up(self) -> bool {
        self.left() < self.of / 4
    }
}
