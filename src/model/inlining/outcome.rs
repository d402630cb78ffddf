//! What became of a body.

use std::fmt;

use http::Method;

use crate::model::inlining::NotInlined;

/// What became of the defaults in the body of a request, as its [`Proof`](crate::Proof) says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Inlined {
    /// Nobody asked for them: the setting is [`Off`](crate::InlineDefaults::Off), or
    /// [`WithoutSession`](crate::InlineDefaults::WithoutSession) and the request bears a session.
    #[default]
    Off,
    /// Those that the request did not name itself were put in.
    Merged,
    /// The request names all of them itself, or there are none.
    Complete,
    /// They were not put in: the server would not look for them there, or this crate could not. For
    /// [`Encoded`](NotInlined::Encoded), [`Charset`](NotInlined::Charset), [`TooLong`](NotInlined::TooLong),
    /// [`BodyFailed`](NotInlined::BodyFailed) and [`NoLayer`](NotInlined::NoLayer), only a session brings them.
    #[non_exhaustive]
    Not {
        /// Why.
        reason: NotInlined,
    },
}

impl Inlined {
    /// Returns whether the body itself names all defaults, so that the answer does not depend on any session.
    #[must_use]
    pub fn is_covered(self) -> bool {
        matches!(self, Self::Merged | Self::Complete)
    }

    /// Whether a request with this method means the same with and without a session.
    ///
    /// A client below may add a type to a request that has none, or a length to a body that is empty: HTTP/2 clients do so
    /// for all methods but those without a body.
    pub(crate) fn needs_no_session(self, method: Option<&Method>) -> bool {
        match self {
            Self::Merged | Self::Complete => true,
            Self::Not {
                reason: NotInlined::NoType | NotInlined::NoBody,
            } => method.is_some_and(has_no_body),
            Self::Not { reason } => reason.is_servers(),
            Self::Off => false,
        }
    }
}

fn has_no_body(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::DELETE].contains(method)
}

impl From<NotInlined> for Inlined {
    fn from(reason: NotInlined) -> Self {
        Self::Not { reason }
    }
}

impl fmt::Display for NotInlined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson => "its `Content-Type` is not `application/json`",
            Self::NoType => "it has no `Content-Type`",
            Self::NoBody => "it is empty",
            Self::NotAnObject => "it is no JSON object",
            Self::Encoded => "it has a `Content-Encoding`",
            Self::Charset => "its `Content-Type` names another charset than UTF-8",
            Self::TooLong => "it would be longer than 1,048,576 bytes",
            Self::BodyFailed => "it failed before its end",
            Self::NoLayer => "no `InlineDefaultsLayer` stands below the session layer",
        })
    }
}
