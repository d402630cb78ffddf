//! Decides about a request that already carries a session id: does the server know that id, as far as this process can
//! tell?
//!
//! The server silently ignores an id that it does not know. So a request with an unknown id is answered under the
//! server's own defaults.

use super::{
    in_flight::InFlightRequest, manager::SessionManager, patience::Limit, waiting::Wanted,
};
use crate::{
    driver::{
        core::Core,
        known_ids::{IdHash, Known},
        peers,
        peers::Voucher,
    },
    error::{Error, ErrorKind},
    model::{
        partition::{KeyId, PartitionId},
        settings::ForeignIds,
    },
};

const FOREIGN: &str = "x-session-id: names a session that is not known here, and the server ignores one that it does not know; \
                       expected no such header, an id from `sessions.api()`, or another setting of `foreign_ids`";
const OTHERS: &str = "x-session-id: names a session for another API key or other defaults than this request's; \
                      expected no such header, or another setting of `foreign_ids`";
const ENDED: &str = "x-session-id: names a session of this manager's that has ended or is another API key's, and is not sent \
                     whatever `foreign_ids` says; expected no such header";

/// What is known about an id on a request, for the request's API key and defaults.
#[derive(Debug)]
pub(crate) enum Origin {
    /// It is the id of this manager's current session for the key and defaults.
    Current,
    /// It is the id of an earlier session for the key and defaults.
    Former,
    /// It is the id of a session of this manager for another key or other defaults.
    OfOthers {
        is_live: bool,
    },
    /// The id is known to be alive: it comes from `sessions.api()`, or another manager of this process uses it.
    Vouched,
    /// It may be the id of the fleet's session for this key and these defaults, which this process has not adopted yet.
    PerhapsShared,
    Unknown,
}

/// What to do with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Replace the id with that of the present session.
    GetsOurs,
    /// Get the present session first. Send the request only if that session has the id.
    GetsOursIfSame,
    Keeps,
    Refused(&'static str),
}

/// Decides what to do with the request. `opted_out` says whether the request asked for no session.
pub(crate) fn judge(origin: &Origin, policy: ForeignIds, opted_out: bool) -> Verdict {
    use ForeignIds::{Keep, Refuse, Replace};
    let verdict = match (origin, policy) {
        // The request already names the session that it would get.
        (Origin::Current, _) => return Verdict::GetsOurs,
        (Origin::Vouched, _) => Verdict::Keeps,
        (Origin::Former, _) | (_, Replace) => Verdict::GetsOurs,
        (Origin::OfOthers { is_live: false }, Keep) => Verdict::Refused(ENDED),
        (_, Keep) => Verdict::Keeps,
        (Origin::OfOthers { .. }, Refuse) => Verdict::Refused(OTHERS),
        (Origin::PerhapsShared, Refuse) => Verdict::GetsOursIfSame,
        (Origin::Unknown, Refuse) => Verdict::Refused(FOREIGN),
    };
    match (opted_out, verdict, origin) {
        (true, Verdict::GetsOurs, Origin::Former) => Verdict::Refused(ENDED),
        (true, Verdict::GetsOurs | Verdict::GetsOursIfSame, _) => Verdict::Refused(FOREIGN),
        _ => verdict,
    }
}

pub(crate) fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::InvalidRequest, why)
}

impl SessionManager {
    /// Waits for a session for a request that already carries an id. The request is sent only if the session has that
    /// id.
    pub(crate) async fn lease_if_it_is(
        self,
        brought: IdHash,
        wanted: Wanted,
        limit: Option<Limit>,
    ) -> Result<InFlightRequest, Error> {
        let lease = self.lease_on(wanted, limit).await?;
        if IdHash::of_session(lease.live()) == brought {
            return Ok(lease.into_request());
        }
        // The request is not sent, so its lease ends here.
        lease.complete();
        Err(refused(FOREIGN))
    }
}

impl Core {
    /// Finds out what is known about an id on a request with this key and these defaults. The returned voucher keeps
    /// the session from being deleted while the request uses it.
    pub(crate) fn origin_of(
        &self,
        id: IdHash,
        key: KeyId,
        partition: PartitionId,
    ) -> (Origin, Option<Voucher>) {
        if self.session_with(id, partition).is_some() {
            return (Origin::Current, None);
        }
        let known = self.known_ids.get(id);
        if let Some(Known::Session(of)) = known
            && of == partition
        {
            return (Origin::Former, None);
        }
        let voucher = peers::vouch(self, id, key, partition);
        let origin = match (known, &voucher) {
            (Some(Known::Session(_)), voucher) => Origin::OfOthers {
                is_live: voucher.is_some(),
            },
            (_, Some(_)) => Origin::Vouched,
            (_, None) if self.may_be_shared(partition) => Origin::PerhapsShared,
            (_, None) => Origin::Unknown,
        };
        (origin, voucher)
    }

    /// Returns whether the fleet may have a session that this process does not know yet.
    fn may_be_shared(&self, partition: PartitionId) -> bool {
        let is_at_hand = || {
            let current = self.cached(partition);
            current.is_some_and(|current| self.is_good(&current, self.now()))
        };
        self.fleet.is_there() && !is_at_hand()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::ForeignIds::{Keep, Refuse, Replace};

    #[test]
    fn the_table_holds() {
        use Verdict::{GetsOurs, GetsOursIfSame, Keeps, Refused};
        let (live, ended) = (
            Origin::OfOthers { is_live: true },
            Origin::OfOthers { is_live: false },
        );
        for (origin, [refuse, replace, keep]) in [
            (Origin::Current, [GetsOurs, GetsOurs, GetsOurs]),
            (Origin::Former, [GetsOurs, GetsOurs, GetsOurs]),
            (Origin::Vouched, [Keeps, Keeps, Keeps]),
            (live, [Refused(OTHERS), GetsOurs, Keeps]),
            (ended, [Refused(OTHERS), GetsOurs, Refused(ENDED)]),
            (Origin::PerhapsShared, [GetsOursIfSame, GetsOurs, Keeps]),
            (Origin::Unknown, [Refused(FOREIGN), GetsOurs, Keeps]),
        ] {
            for (policy, verdict) in [(Refuse, refuse), (Replace, replace), (Keep, keep)] {
                assert_eq!(
                    judge(&origin, policy, false),
                    verdict,
                    "{origin:?} {policy:?}"
                );
                // With `NoSession`, the request gets no session but the one that it names.
                let out = judge(&origin, policy, true);
                let is_same = matches!(origin, Origin::Current) || verdict == Keeps;
                assert_eq!(out == verdict, is_same || matches!(verdict, Refused(_)));
                assert!(
                    is_same || matches!(out, Refused(_)),
                    "{origin:?} {policy:?}"
                );
            }
        }
    }

    #[test]
    fn every_refusal_names_the_setting() {
        assert!(
            [FOREIGN, OTHERS, ENDED]
                .iter()
                .all(|why| why.contains("`foreign_ids`"))
        );
    }
}
