//! Requests without one of the manager's sessions also take places in the server's rate-limit window. If the manager
//! ignored their answers, the window of a new process could pass for the window of the old process.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use sipher_session::{
    Chain, Doubt, ForeignIds, NoSession, Proof, SessionDefaults, SessionLayer, SessionManager,
    api::{CreateSession, SessionId},
    testing::{FakeBody, Fault, Target, What},
};
use tower::{Layer, ServiceExt};

use crate::support::{Call, Setup, generate, pass};

const ORIGIN: &str = "https://sipher-api.sip-protocol.org";

/// A request that takes one place in the rate-limit window of the process that answers it.
#[derive(Clone, Copy, Debug)]
enum Other {
    OptedOut,
    KeptId,
    Public,
    SessionCallOfTheCaller,
    GetByHand,
    CreateByHand,
    FailedCreate,
    FailedDelete,
}

const OTHERS: [Other; 8] = [
    Other::OptedOut,
    Other::KeptId,
    Other::Public,
    Other::SessionCallOfTheCaller,
    Other::GetByHand,
    Other::CreateByHand,
    Other::FailedCreate,
    Other::FailedDelete,
];

fn get(path: &str) -> Call {
    let request = Request::get(format!("{ORIGIN}{path}"));
    request.body(Full::<Bytes>::default()).unwrap()
}

fn foreign_id() -> String {
    format!("sess_{}", "5".repeat(64))
}

impl Other {
    fn request(self) -> Call {
        let mut request = generate();
        match self {
            Self::OptedOut => drop(request.extensions_mut().insert(NoSession)),
            Self::KeptId => {
                let id = foreign_id().parse().unwrap();
                request.headers_mut().insert("x-session-id", id);
            }
            Self::Public => return get("/v1/errors"),
            Self::SessionCallOfTheCaller => {
                return get(&format!("/v1/sessions/{}", foreign_id()));
            }
            Self::GetByHand | Self::CreateByHand | Self::FailedCreate | Self::FailedDelete => {}
        }
        request
    }

    async fn happen(self, setup: &Setup, sessions: &SessionManager) {
        match self {
            Self::FailedCreate => {
                let fault = Fault::new(What::Status(400)).on(Target::Create);
                setup.sipher.fault(fault);
                let third = SessionDefaults::new().chain(Chain::Ethereum);
                let layer = SessionLayer::new(sessions.clone()).defaults(third);
                let service = layer.layer(setup.sipher.clone());
                service.oneshot(generate()).await.unwrap_err();
            }
            Self::GetByHand => {
                let id = SessionId::parse(&foreign_id()).unwrap();
                sessions.api().get_session(&id).await.unwrap_err();
            }
            Self::CreateByHand => {
                let create = CreateSession::new(SessionDefaults::new());
                sessions.api().create_session(&create).await.unwrap();
            }
            Self::FailedDelete => {
                let fault = Fault::new(What::Error(500, "INTERNAL_SERVER_ERROR"));
                setup.sipher.fault(fault.on(Target::Delete));
                assert!(sessions.invalidate(2));
                pass(0.01).await;
            }
            _ => {
                let service = setup.service(sessions);
                service.oneshot(self.request()).await.unwrap();
            }
        }
    }
}

fn base(sessions: &SessionManager) -> SessionLayer {
    let defaults = SessionDefaults::new().chain(Chain::Base);
    SessionLayer::new(sessions.clone()).defaults(defaults)
}

/// Returns the chain that one request got, and the doubt in its proof.
async fn prove(setup: &Setup, sessions: &SessionManager) -> (Option<String>, Option<Doubt>) {
    let layer = SessionLayer::new(sessions.clone()).with_proof();
    let service = layer.layer(setup.sipher.clone());
    let response: http::Response<FakeBody> = service.oneshot(generate()).await.unwrap();
    let proof = response.extensions().get::<Proof>().copied();
    let Some(Proof::Session { doubt, .. }) = proof else {
        panic!("{proof:?}");
    };
    (setup.last_chain(), doubt)
}

/// Returns whether a restart stays hidden. The server restarts between two calls, and the `other` request is the first
/// one that the new process counts in its rate-limit window.
async fn hides_a_restart(other: Other) -> bool {
    let setup = Setup::new();
    let builder = setup.builder().foreign_ids(ForeignIds::Keep);
    let sessions = builder.build().unwrap();
    sessions.session().await.unwrap();
    let second = base(&sessions).layer(setup.sipher.clone());
    second.oneshot(generate()).await.unwrap();
    // This is the server's next window. One of its places is taken.
    pass(61.0).await;
    prove(&setup, &sessions).await;
    pass(0.3).await;
    setup.sipher.restart();
    pass(0.01).await;
    other.happen(&setup, &sessions).await;
    let (chain, doubt) = prove(&setup, &sessions).await;
    let is_undoubted = chain.as_deref() != Some("near") && doubt.is_none();
    if matches!(other, Other::Public) {
        // This is a hint: the question is asked while requests go on.
        pass(20.0).await;
        prove(&setup, &sessions).await;
    }
    pass(1.0).await;
    let (later, _) = prove(&setup, &sessions).await;
    is_undoubted || later.as_deref() != Some("near")
}

#[tokio::test(start_paused = true)]
async fn whatever_answer_takes_a_place_in_the_window_of_a_new_process_does_not_hide_its_restart() {
    let mut hide = Vec::new();
    for other in OTHERS {
        if hides_a_restart(other).await {
            hide.push(other);
        }
    }
    assert!(hide.is_empty(), "{hide:?}");
}

/// Before the first session there is nothing to prove, so other requests cause no question.
#[tokio::test(start_paused = true)]
async fn what_others_ask_for_before_the_first_session_costs_no_question() {
    for other in [
        Other::OptedOut,
        Other::KeptId,
        Other::Public,
        Other::GetByHand,
        Other::CreateByHand,
    ] {
        let setup = Setup::new();
        let builder = setup.builder().foreign_ids(ForeignIds::Keep);
        let sessions = builder.build().unwrap();
        other.happen(&setup, &sessions).await;
        sessions.session().await.unwrap();
        for _ in 0..3 {
            prove(&setup, &sessions).await;
            other.happen(&setup, &sessions).await;
            pass(0.3).await;
        }
        assert_eq!(setup.questions(), 0, "{other:?}");
    }
}
