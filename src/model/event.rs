//! Events about sessions.

use std::{sync::Arc, time::Duration};

pub(crate) use super::reason::RetireReason;
use super::{inlining::NotInlined, outside::OutsideReason, session_ref::SessionRef};
use crate::{
    api::{Chain, SessionDefaults},
    error::Error,
    secret::Fingerprint,
};

/// An event about a session. Each comes once for its cause, even if many requests have noticed the cause.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A session was created, either the first or a successor.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    Created {
        /// The session.
        session: SessionRef,
        /// Its defaults.
        defaults: Arc<SessionDefaults>,
        /// The session that it replaces.
        replaces: Option<SessionRef>,
        /// How long it will be used.
        usable_for: Duration,
    },
    /// From now on, this process uses a session that another process of the fleet has created.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    Adopted {
        /// The session.
        session: SessionRef,
        /// Its defaults.
        defaults: Arc<SessionDefaults>,
        /// The session that it replaces.
        replaces: Option<SessionRef>,
        /// How long it will be used.
        usable_for: Duration,
    },
    /// This process no longer uses a session, but other processes of the fleet use it, or may use it. The last one that
    /// leaves deletes it. If one of them was killed, or if the store may have forgotten one, the session expires
    /// instead.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    LeftToOthers {
        /// The session.
        session: SessionRef,
    },
    /// The shared store holds a record that cannot be trusted: this fleet did not write it, it was changed, or it is
    /// older than one seen before. The record is not used. A record of changed defaults is refused as well, and not
    /// overwritten, if another version of this crate wrote it in a format that this version cannot read.
    ///
    /// Wake somebody: yes, unless a release of yours that writes another format is being rolled out.
    #[non_exhaustive]
    RecordRefused {
        /// The slot of the record, as `Display` of `store::Slot` writes it.
        slot: String,
    },
    /// The shared store, or a part of it, cannot be reached. Requests go on with the sessions that this process has. If
    /// it has none for a request, [`OnStoreDown`](crate::OnStoreDown) decides.
    ///
    /// The event comes with the first failure, and not again before [`StoreUp`](Self::StoreUp). If the store is spread
    /// over several machines, sessions on those that answer are not affected.
    ///
    /// Wake somebody: if it lasts for minutes; processes then create sessions of their own, or fail.
    #[non_exhaustive]
    StoreDown {
        /// What happened.
        error: Error,
    },
    /// The shared store is reachable again: no part of it fails that was asked within the last minute.
    ///
    /// Wake somebody: no.
    StoreUp,
    /// Nobody can connect to the server, or a gateway in front of it says that it cannot.
    ///
    /// The first such failure of a session call or `GET /v1/health` causes the event, once until
    /// [`ServerUp`](Self::ServerUp). Requests without a usable session wait at first. Once a whole create has failed in
    /// this way, those of all keys fail at once with [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) until
    /// the server answers.
    ///
    /// Wake somebody: if `ServerUp` does not follow within a few minutes. The vendor restarts the server several times
    /// a day.
    #[non_exhaustive]
    ServerDown {
        /// What happened.
        error: Error,
    },
    /// The server answers again.
    ///
    /// The event comes with the first call that the server answers. While no request needs a session, no call is made.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    ServerUp {
        /// How long after [`ServerDown`](Self::ServerDown) the server answered.
        lasted: Duration,
    },
    /// A session could not be created, and all requests that waited for it got the error.
    ///
    /// Wake somebody: if the kind of the error is not transient: such a tenant stays without sessions until somebody
    /// acts.
    #[non_exhaustive]
    CreateFailed {
        /// The fingerprint of the API key, see [`ApiKey::fingerprint`](crate::ApiKey::fingerprint).
        api_key: Fingerprint,
        /// The defaults that the session was to have.
        defaults: Arc<SessionDefaults>,
        /// Why. Its `next_attempt_in` says when the next try is due.
        error: Error,
    },
    /// A successor could not be created. Requests go on with the current session.
    ///
    /// Wake somebody: no; `CreateFailed` follows if no successor can be had in time.
    #[non_exhaustive]
    RenewalFailed {
        /// The current session.
        session: SessionRef,
        /// How long it can still be used.
        usable_for: Duration,
        /// Why. Its `next_attempt_in` says when the next try is due.
        error: Error,
    },
    /// A create was sent, but its answer never came, or only a gateway answered. The server may hold a session that no
    /// client knows, for one TTL.
    ///
    /// Wake somebody: no, unless there are many in an hour, for several API keys.
    #[non_exhaustive]
    PossibleOrphan {
        /// The fingerprint of the API key.
        api_key: Fingerprint,
        /// The defaults that the session was to have.
        defaults: Arc<SessionDefaults>,
        /// What happened to the call, if it ended at all.
        error: Option<Error>,
    },
    /// Requests are being sent without a session, because [`OnNoSession::SendWithout`](crate::OnNoSession) is set.
    ///
    /// The event comes once for each cause. [`Stats::sent_without`](crate::Stats) counts the requests.
    ///
    /// Wake somebody: yes, if money depends on the defaults.
    #[non_exhaustive]
    SendingWithout {
        /// The fingerprint of the API key of the first such request.
        api_key: Fingerprint,
        /// Why there is no session.
        error: Error,
    },
    /// The server may have lost its sessions, for example in a restart. Requests that start after this event get no
    /// session until the server was asked or a successor was created.
    ///
    /// The event comes once until the server has answered. A few a day are normal, because the vendor restarts often.
    /// Many in an hour mean an outage, or a gateway in trouble.
    ///
    /// Wake somebody: no, unless there are many in an hour.
    #[non_exhaustive]
    Suspected {
        /// How many sessions are affected.
        live_sessions: u64,
    },
    /// A check found that the server still knows a session.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    Verified {
        /// The session.
        session: SessionRef,
    },
    /// A check of a session failed, so it is unknown whether the server still knows it.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    CheckFailed {
        /// The session.
        session: SessionRef,
        /// Why. Its `next_attempt_in` says when the next try is due.
        error: Error,
    },
    /// The server has lost a session before its end, or now stores other defaults for it. **Requests that carried the
    /// session since then may have been answered under the server's own defaults.**
    ///
    /// Wake somebody: if `requests` is not zero and money depends on the defaults. Otherwise no.
    #[non_exhaustive]
    Lost {
        /// The session.
        session: SessionRef,
        /// How long ago the server was last known to have the session. After a restart, this counts from the last
        /// answer that proved the earlier process. If the server dropped only this session, it counts from the create
        /// or the last check, because the server may have dropped the session right after it.
        unknown_for: Duration,
        /// How many requests were sent with the session since then, at most. No request with a wrong answer is missing.
        /// Requests that were answered correctly, after the last proof but before the restart, may be included.
        requests: u64,
    },
    /// An answer names another chain than its session has, so the server's own defaults applied. A
    /// [checked](crate::SessionLayer::checked) layer withheld the answer: the caller got
    /// [`ErrorKind::WrongDefaults`](crate::ErrorKind::WrongDefaults). The session is not used any more.
    /// [`Lost`](Self::Lost) follows if the session was in use until then.
    ///
    /// One such event after a restart, or after the server evicted the session, is no reason to wake somebody. Several
    /// within an hour are, since each costs a session: the server may run as several replicas that do not share their
    /// sessions.
    ///
    /// The event comes once for each session. [`Stats::wrong_defaults`](crate::Stats) counts the answers.
    ///
    /// Wake somebody: if there are several within an hour.
    #[non_exhaustive]
    WrongDefaults {
        /// The session.
        session: SessionRef,
        /// The chain of the session.
        expected: Chain,
        /// The chain that the answer names, or `unknown` if this version does not know it.
        answered: Chain,
    },
    /// An answer arrived after the end of the session that its request carried, so the server's own defaults may have
    /// applied. Something below the layer delayed the request, or its future was polled late. The two cannot be told
    /// apart.
    ///
    /// The event comes once for each session. [`Stats::late_answers`](crate::Stats) counts the answers.
    ///
    /// One case is missed. If the response was ready when its future was first polled, only the wall clock is read. A
    /// late poll goes unnoticed if the wall clock was set back meanwhile by at least the delay. A layer
    /// [`with_proof`](crate::SessionLayer::with_proof) reads both clocks and misses nothing.
    ///
    /// Wake somebody: no; look for what delays answers if there are many.
    #[non_exhaustive]
    Late {
        /// The session.
        session: SessionRef,
    },
    /// An origin that is not Sipher's answered a request, because the client below the layer followed a redirect there.
    /// **The session id and the API key of the request went along**, and the operator of that origin may have them.
    ///
    /// The session is replaced, and deleted on the server. Only the last hop of a chain of redirects is seen. Set
    /// [`redirect_policy`](crate::SessionManager::redirect_policy) to prevent this.
    ///
    /// Wake somebody: yes: replace the API key, and set a redirect policy.
    #[non_exhaustive]
    Leaked {
        /// The session that the request carried, if it was the manager's. The event comes once for each session.
        session: Option<SessionRef>,
        /// The fingerprint of the API key that the request carried. Replace that key, unless it was in `Authorization`:
        /// clients remove that header when a redirect leaves an origin.
        api_key: Fingerprint,
        /// The origin, such as `https://other.example`.
        to: String,
    },
    /// A request that looked like one for Sipher went elsewhere, for example to another host name of the vendor. **It
    /// got no session**, and it was sent unless [`Outside::Refuse`](crate::Outside) is set. Correct its URL, or add an
    /// [`alias`](crate::SessionManagerBuilder::alias).
    ///
    /// The event comes once for each of the first 1,000 origins. [`Stats::outside`](crate::Stats) counts the requests.
    ///
    /// Wake somebody: if payments depend on the defaults: such requests are answered under the server's own.
    #[non_exhaustive]
    Outside {
        /// Where the request went, such as `https://sipher.sip-protocol.org`. A request with a relative URI is shown by
        /// its `Host`, as in `//sipher.example`, or as `/` without one. See
        /// [`inner_is_sipher`](crate::SessionLayer::inner_is_sipher).
        origin: String,
        /// The base URL of the manager.
        base: String,
        /// Why the request looked like one for Sipher.
        reason: OutsideReason,
    },
    /// The server stores a default that was not asked for, under a name that this version does not know.
    ///
    /// Wake somebody: no; look for a newer version of this crate.
    #[non_exhaustive]
    UnknownDefault {
        /// The session.
        session: SessionRef,
        /// The default's name.
        name: String,
    },
    /// From here on, a session is not sent any more.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    Retired {
        /// The session.
        session: SessionRef,
        /// Why.
        reason: RetireReason,
    },
    /// The manager has deleted a session on the server. Sessions that you delete with
    /// [`SessionManager::api`](crate::SessionManager::api) or through the layer are only reported as retired.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    Deleted {
        /// The session.
        session: SessionRef,
        /// Whether the server had already lost the session.
        already_gone: bool,
    },
    /// Within a minute, more keys and defaults were used than `max_sessions` allows. The number of sessions grows for a
    /// while, up to ten times the setting. Beyond that, new ones are refused with
    /// [`ErrorKind::Budget`](crate::ErrorKind::Budget).
    ///
    /// The event comes at most once an hour. Raise [`max_sessions`](crate::SessionManagerBuilder::max_sessions).
    ///
    /// Wake somebody: no; raise the setting in the next days.
    #[non_exhaustive]
    Crowded {
        /// The setting.
        max_sessions: u64,
    },
    /// The [`call_budget`](crate::SessionManagerBuilder::call_budget) is used up. Requests that need a new session, and
    /// would have to wait longer than they may, fail with [`ErrorKind::Budget`](crate::ErrorKind::Budget) or go without
    /// one.
    ///
    /// The event comes with the first of these requests. [`Stats::refused_for_budget`](crate::Stats) counts all.
    ///
    /// Wake somebody: yes, if [`BudgetFree`](Self::BudgetFree) does not follow within minutes.
    #[non_exhaustive]
    BudgetUsedUp {
        /// How long such a request would have to wait.
        next_call_in: Duration,
    },
    /// The budget is free again: a create or check began with half of it free, and for 10 s no request was refused.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    BudgetFree {
        /// How long ago the first request was refused.
        lasted: Duration,
    },
    /// Many sessions wait to be deleted. Until then they count on the server.
    ///
    /// The event comes with the first hundred, and each time that the number has doubled. Raise `max_sessions` or the
    /// [`call_budget`](crate::SessionManagerBuilder::call_budget).
    ///
    /// Wake somebody: no, unless it comes again and again.
    #[non_exhaustive]
    DeletesPending {
        /// How many sessions wait.
        pending: usize,
    },
    /// A session will not be deleted but left to expire.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    LeftToExpire {
        /// The session.
        session: SessionRef,
        /// How much life it has left on the server.
        left: Duration,
        /// The failure that prevented its delete, if any.
        error: Option<Error>,
    },
    /// The last handle was dropped without a shutdown, and these sessions stay on the server until they expire.
    ///
    /// Wake somebody: no; call [`shutdown`](crate::SessionManager::shutdown) before the last handle goes.
    #[non_exhaustive]
    Abandoned {
        /// Sessions that will expire.
        left_to_expire: usize,
        /// Sessions that may exist although no client knows them.
        possible_orphans: u64,
    },
    /// A body could not be merged, although the server would merge it. Only a session brings the defaults to such a
    /// request. The event comes once for each reason. [`Stats::not_inlined`](crate::Stats) counts each request,
    /// including refused ones.
    ///
    /// Find out why: if the server forgets the session, such a request is answered wrong. Bodies may be compressed
    /// above this crate's layers or be too long, or a layer may be missing.
    ///
    /// Wake somebody: no; find the cause in the next days.
    #[non_exhaustive]
    NotInlined {
        /// Why.
        reason: NotInlined,
    },
    /// This listener was too slow and missed some events.
    ///
    /// Wake somebody: no; let the listener do less for each event.
    #[non_exhaustive]
    Missed {
        /// How many events.
        events: u64,
    },
}
