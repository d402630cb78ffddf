//! Requests that bring along a session id of their own: whether the server knows it, as far as that can be known here.
//!
//! The server ignores an id that it does not know, without a word, so a request with a stranger's id is answered under
//! the server's own defaults.

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

/// What is known of an id, seen from a request with its API key and defaults.
#[derive(Debug)]
pub(crate) enum Origin {
    /// This manager's current session for them.
    Current,
    /// One before that.
    Former,
    /// This manager's, for another key or other defaults.
    OfOthers {
        is_live: bool,
    },
    /// Somebody vouches for it.
    Vouched,
    /// Perhaps the fleet's, whose session for this key and these defaults is not at hand.
    PerhapsShared,
    Unknown,
}

/// What becomes of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It gets the present session in place of the id.
    GetsOurs,
    /// The same, if that turns out to be the one that it names.
    GetsOursIfSame,
    Keeps,
    Refused(&'static str),
}

/// Decides. `opted_out` says whether the request is to get no session.
pub(crate) fn judge(origin: &Origin, policy: ForeignIds, opted_out: bool) -> Verdict {
    use ForeignIds::{Keep, Refuse, Replace};
    let verdict = match (origin, policy) {
        // It names what it gets.
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
    /// The miss of a request that brought a session id along, which has to be the session's.
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
        // It is not sent.
        lease.complete();
        Err(refused(FOREIGN))
    }
}

impl Core {
    /// Looks for an id that a request with this key and these defaults bears. Whoever vouches for it sees to it that it is not
    /// deleted under the request.
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

    /// Whether the fleet may have a session that this process does not know yet.
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
                // With `NoSession` it gets none but the one that it names.
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
