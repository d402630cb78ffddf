//! What happens to sessions, as it happens.
//!
#![cfg_attr(feature = "testing", doc = "```")]
#![cfg_attr(not(feature = "testing"), doc = "```ignore")]
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), sipher_session::Error> {
//! use sipher_session::{Event, SessionManager, api::Transport, testing::{FakeSipher, Tier}};
//!
//! let sipher = FakeSipher::new();
//! let sessions = SessionManager::builder()
//!     .api_key(sipher.api_key(Tier::Pro))
//!     .transport(Transport::new(sipher))
//!     .build()?;
//! let mut events = sessions.events();
//! let session = sessions.session().await?;
//! match events.recv().await {
//!     Some(Event::Created { session: created, .. }) => {
//!         assert_eq!(created.generation, session.generation());
//!     }
//!     other => panic!("{other:?}"),
//! }
//! # Ok(()) }
//! ```

use std::{sync::Arc, time::Duration};

pub(crate) use super::reason::RetireReason;
use super::{inlining::NotInlined, outside::OutsideReason, session_ref::SessionRef};
use crate::{
    api::{Chain, SessionDefaults},
    error::Error,
    secret::Fingerprint,
};

/// Something that happened to a session: once for each cause, never once for each request that noticed.
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
        /// The one that it takes the place of.
        replaces: Option<SessionRef>,
        /// How long it is going to be used.
        usable_for: Duration,
    },
    /// A session that another process of the fleet has made is used here from now on.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    Adopted {
        /// The session.
        session: SessionRef,
        /// Its defaults.
        defaults: Arc<SessionDefaults>,
        /// The one that it takes the place of.
        replaces: Option<SessionRef>,
        /// How long it is going to be used.
        usable_for: Duration,
    },
    /// A session is not used here any more. Other processes of the fleet use it, or may use it: the last one that leaves
    /// deletes it. It expires instead if one of them was killed, or if the store may have forgotten one.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    LeftToOthers {
        /// The session.
        session: SessionRef,
    },
    /// What the shared store holds was not written by this fleet, was changed since, or is older than what was seen before. It is not used.
    /// A change of defaults that another version of this crate wrote in a form that this one cannot read is refused too, not overwritten.
    ///
    /// Wake somebody: yes, unless a release that writes another form is being rolled out.
    #[non_exhaustive]
    RecordRefused {
        /// The slot that it was found in, as `Display` of `store::Slot` writes it.
        slot: String,
    },
    /// The shared store, or a part of it, cannot be reached. Requests go on with the sessions at hand; what happens after that
    /// is [`OnStoreDown`](crate::OnStoreDown).
    ///
    /// It comes once, with the first failure, until [`StoreUp`](Self::StoreUp). Where the store is spread over several
    /// machines, sessions on those that answer are not affected.
    ///
    /// Wake somebody: if it lasts for minutes; processes then make sessions of their own, or fail.
    #[non_exhaustive]
    StoreDown {
        /// What happened.
        error: Error,
    },
    /// The shared store is there again: no part of it fails that was asked within the last minute.
    ///
    /// Wake somebody: no.
    StoreUp,
    /// Nobody can connect to the server, or a gateway in front of it says that it cannot.
    ///
    /// It comes once, with the first session call or question that fails so, until [`ServerUp`](Self::ServerUp). Requests without a
    /// usable session wait at first. Once a whole create has failed so, the requests of all keys fail at once with
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) until the server answers.
    ///
    /// Wake somebody: if `ServerUp` does not follow within a few minutes. The vendor restarts the server several times a day.
    #[non_exhaustive]
    ServerDown {
        /// What happened.
        error: Error,
    },
    /// The server answers again.
    ///
    /// Nothing runs while no request needs a session, so this comes with the first call that is answered.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    ServerUp {
        /// How long after [`ServerDown`](Self::ServerDown).
        lasted: Duration,
    },
    /// A session could not be created, and whoever waited for it got the error.
    ///
    /// Wake somebody: if the kind of the error is not transient: such a tenant stays without sessions until somebody acts.
    #[non_exhaustive]
    CreateFailed {
        /// Stands for the API key that it was for, see [`ApiKey::fingerprint`](crate::ApiKey::fingerprint).
        api_key: Fingerprint,
        /// The defaults that the session was to have.
        defaults: Arc<SessionDefaults>,
        /// Why; its `next_attempt_in` says when the next try is due.
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
        /// Why; its `next_attempt_in` says when the next try is due.
        error: Error,
    },
    /// A create was sent, and its answer never came, or a gateway's in its place: there may be a session that nobody knows, for one TTL.
    ///
    /// Wake somebody: no, unless there are many in an hour, for several API keys.
    #[non_exhaustive]
    PossibleOrphan {
        /// Stands for the API key that it was for.
        api_key: Fingerprint,
        /// The defaults that the session was to have.
        defaults: Arc<SessionDefaults>,
        /// What happened to the call, if it ended at all.
        error: Option<Error>,
    },
    /// Requests are being sent without a session, because [`OnNoSession::SendWithout`](crate::OnNoSession) says so.
    ///
    /// This is told once for each cause; [`Stats::sent_without`](crate::Stats) counts the requests.
    ///
    /// Wake somebody: yes, if money depends on the defaults.
    #[non_exhaustive]
    SendingWithout {
        /// Stands for the API key of the first of them.
        api_key: Fingerprint,
        /// Why there is none.
        error: Error,
    },
    /// There is a sign that the server may have lost its sessions, such as a restart. No request that starts after it is
    /// given one before the server was asked, or a successor was made.
    ///
    /// This comes once, until the server has answered. A few a day are normal: the vendor restarts often. Many in an hour mean an
    /// outage, or a gateway in trouble.
    ///
    /// Wake somebody: no, unless there are many in an hour.
    #[non_exhaustive]
    Suspected {
        /// How many sessions it concerns.
        live_sessions: u64,
    },
    /// The server still knows a session that it was asked about.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    Verified {
        /// The session.
        session: SessionRef,
    },
    /// The server could not be asked whether it still knows a session.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    CheckFailed {
        /// The session.
        session: SessionRef,
        /// Why; its `next_attempt_in` says when the next try is due.
        error: Error,
    },
    /// The server has lost a session before its end, or stores other defaults for it than it did. **Requests that bore it since may have been answered under the
    /// server's own defaults.**
    ///
    /// Wake somebody: if `requests` is not zero and money depends on the defaults. Otherwise no.
    #[non_exhaustive]
    Lost {
        /// The session.
        session: SessionRef,
        /// How long ago the server was last known to have it. After a restart this is the last answer that proved the
        /// process of before. Otherwise it is the create or the last check: the server may have dropped the session right after it.
        unknown_for: Duration,
        /// How many requests were given it since then, at most: those that were answered before the restart, and after the
        /// last answer that proved the process, count too. No request that was answered wrong is missing.
        requests: u64,
    },
    /// An answer names another chain than its session has, so the server's own defaults applied. A
    /// [checked](crate::SessionLayer::checked) layer withheld it: the caller got
    /// [`ErrorKind::WrongDefaults`](crate::ErrorKind::WrongDefaults). The session is used no more; [`Lost`](Self::Lost)
    /// follows if it was in use until then.
    ///
    /// One of these after a restart or an eviction of the server's is no reason to wake somebody. Several within an hour are,
    /// since each costs a session: the server may run as several replicas that do not share their sessions.
    ///
    /// This is told once for each session; [`Stats::wrong_defaults`](crate::Stats) counts the answers.
    ///
    /// Wake somebody: if there are several within an hour.
    #[non_exhaustive]
    WrongDefaults {
        /// The session.
        session: SessionRef,
        /// The chain that it has.
        expected: Chain,
        /// The chain that the answer names; `unknown` if this version does not know it.
        answered: Chain,
    },
    /// An answer was taken after the end of the session that its request bore: the server's own defaults may have applied.
    /// Something below the layer held the request up, or its future was polled late; the two cannot be told apart.
    ///
    /// This is told once for each session; [`Stats::late_answers`](crate::Stats) counts the answers.
    ///
    /// One case is missed. If the response was ready when its future was first polled, only the wall clock is read: a late poll
    /// goes unnoticed if the wall clock was set back since the request by at least as much as the poll came too late. A layer
    /// [`with_proof`](crate::SessionLayer::with_proof) reads both clocks and misses nothing.
    ///
    /// Wake somebody: no; look for what delays answers if there are many.
    #[non_exhaustive]
    Late {
        /// The session.
        session: SessionRef,
    },
    /// A request was answered from an origin that is not Sipher's, since the client below the layer followed a redirect there.
    /// **What the request bore went along**, and whoever runs that origin may have it.
    ///
    /// The session is replaced, and deleted on the server. Only the last hop of a chain is seen, see
    /// [`redirect_policy`](crate::SessionManager::redirect_policy) for how to let it not come to this.
    ///
    /// Wake somebody: yes: replace the API key, and set a redirect policy.
    #[non_exhaustive]
    Leaked {
        /// The session that the request bore, if that was one of the manager's. This is told once for each.
        session: Option<SessionRef>,
        /// Stands for the API key that the request bore. It is for you to replace, unless it stood in `Authorization`, which
        /// clients take off when they leave an origin.
        api_key: Fingerprint,
        /// The origin, such as `https://other.example`.
        to: String,
    },
    /// A request went elsewhere than to Sipher and yet looked like one for Sipher, such as one to another host name of the vendor's.
    /// **It got no session**, and unless [`Outside::Refuse`](crate::Outside) is set it was sent. Correct its URL, or add an
    /// [`alias`](crate::SessionManagerBuilder::alias).
    ///
    /// This is told once for each of the first 1,000 origins; [`Stats::outside`](crate::Stats) counts the requests.
    ///
    /// Wake somebody: if payments depend on the defaults: such requests are answered under the server's own.
    #[non_exhaustive]
    Outside {
        /// Where it went, such as `https://sipher.sip-protocol.org`. A request with a relative URI is shown by its `Host`, as in
        /// `//sipher.example`, or as `/` without one: see [`inner_is_sipher`](crate::SessionLayer::inner_is_sipher).
        origin: String,
        /// The base URL that it was outside of.
        base: String,
        /// Why it looked like one.
        reason: OutsideReason,
    },
    /// The server stores a default that was not asked for, by a name that this version does not know.
    ///
    /// Wake somebody: no; look for a newer version of this crate.
    #[non_exhaustive]
    UnknownDefault {
        /// The session.
        session: SessionRef,
        /// The default's name.
        name: String,
    },
    /// A session is sent no more from here on.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    Retired {
        /// The session.
        session: SessionRef,
        /// Why.
        reason: RetireReason,
    },
    /// The manager has deleted a session on the server. What you delete with [`SessionManager::api`](crate::SessionManager::api)
    /// or through the layer is only retired.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    Deleted {
        /// The session.
        session: SessionRef,
        /// Whether the server had lost it already.
        already_gone: bool,
    },
    /// More keys and defaults were used within a minute than `max_sessions` has room for. There are more sessions for a while, up to
    /// ten times as many; beyond that, new ones are refused with [`ErrorKind::Budget`](crate::ErrorKind::Budget).
    ///
    /// It comes once an hour at most. Raise [`max_sessions`](crate::SessionManagerBuilder::max_sessions).
    ///
    /// Wake somebody: no; raise the setting in the next days.
    #[non_exhaustive]
    Crowded {
        /// The setting.
        max_sessions: u64,
    },
    /// The [`call_budget`](crate::SessionManagerBuilder::call_budget) is used up: requests that need a new session fail with
    /// [`ErrorKind::Budget`](crate::ErrorKind::Budget), or go without one, where they would have to wait for longer than they may.
    ///
    /// It comes with the first of them; [`Stats::refused_for_budget`](crate::Stats) counts all.
    ///
    /// Wake somebody: yes, if [`BudgetFree`](Self::BudgetFree) does not follow within minutes.
    #[non_exhaustive]
    BudgetUsedUp {
        /// How long such a request would have to wait.
        next_call_in: Duration,
    },
    /// A create or a check begins with half of the budget free, and no request was refused for 10 s.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    BudgetFree {
        /// How long ago the first was refused.
        lasted: Duration,
    },
    /// Many sessions wait to be deleted on the server, where they count until then.
    ///
    /// It comes with the first hundred, and each time that they have doubled. Raise `max_sessions` or the
    /// [`call_budget`](crate::SessionManagerBuilder::call_budget).
    ///
    /// Wake somebody: no, unless it comes again and again.
    #[non_exhaustive]
    DeletesPending {
        /// How many.
        pending: usize,
    },
    /// A session will not be deleted: it ends by itself.
    ///
    /// Wake somebody: no.
    #[non_exhaustive]
    LeftToExpire {
        /// The session.
        session: SessionRef,
        /// The life that it still has on the server.
        left: Duration,
        /// The failure that kept it from being deleted, if one did.
        error: Option<Error>,
    },
    /// The last handle is gone without a shutdown, and these sessions go on living on the server.
    ///
    /// Wake somebody: no; call [`shutdown`](crate::SessionManager::shutdown) before the last handle goes.
    #[non_exhaustive]
    Abandoned {
        /// Sessions that end by themselves.
        left_to_expire: usize,
        /// Sessions that may exist without anybody knowing them.
        possible_orphans: u64,
    },
    /// A body could not be merged that the server would merge: only a session brings its defaults. The event comes once for each
    /// reason; [`Stats::not_inlined`](crate::Stats) counts each request, also one that was refused for it.
    ///
    /// Worth a look: if the server forgot the session, such a request is wrong. Something above this crate's layers compresses bodies,
    /// they are too long, or a layer is missing.
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
        /// How many.
        events: u64,
    },
}
