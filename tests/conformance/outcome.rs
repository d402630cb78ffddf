//! The outcome of a request, in the same form for every kind of client.

use serde_json::Value;
use sipher_session::{BoxError, Error, ErrorKind};

/// What the caller got back.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answered { status: u16, chain: Option<String> },
    Failed(Error),
}

impl Outcome {
    pub(crate) async fn read(response: reqwest::Response) -> Result<Self, BoxError> {
        let status = response.status().as_u16();
        Ok(Self::answered(status, &response.bytes().await?))
    }

    pub(crate) fn failed(error: &BoxError) -> Self {
        Self::Failed(ours(error))
    }

    pub(crate) fn answered(status: u16, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let chain = body["data"]["chain"].as_str().map(str::to_owned);
        Self::Answered { status, chain }
    }

    pub(crate) fn into_chain(self) -> Result<String, Error> {
        match self {
            Self::Failed(error) => Err(error),
            Self::Answered { chain, .. } => Ok(chain.unwrap_or_default()),
        }
    }

    #[track_caller]
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Answered { status, .. } => *status,
            Self::Failed(error) => panic!("not answered: {error}"),
        }
    }

    /// Returns the chain of a successful answer.
    #[track_caller]
    pub(crate) fn chain(&self) -> &str {
        match self {
            Self::Answered { status: 200, chain } => chain.as_deref().unwrap_or_default(),
            other => panic!("expected an answer with a chain, got {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn error(&self) -> &Error {
        match self {
            Self::Failed(error) => error,
            Self::Answered { status, .. } => panic!("expected an error, was answered {status}"),
        }
    }

    #[track_caller]
    pub(crate) fn kind(&self) -> ErrorKind {
        self.error().kind()
    }
}

/// Finds this crate's error inside of the client's. Panics on any other error, because no rule expects one.
#[track_caller]
fn ours(error: &BoxError) -> Error {
    if let Some(error) = Error::find(&**error) {
        return error.clone();
    }
    panic!("not an error of this crate: {error:?}")
}
