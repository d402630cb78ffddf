//! What happened to the defaults in a body.

use std::fmt;

use http::Method;

use crate::model::inlining::NotInlined;

/// What happened to the defaults in the body of a request, as its [`Proof`](crate::Proof) says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Inlined {
    /// Inline defaults do not apply: the setting is [`Off`](crate::InlineDefaults::Off), or it is
    /// [`WithoutSession`](crate::InlineDefaults::WithoutSession) and the request carries a session.
    #[default]
    Off,
    /// The body was merged: the defaults that the request did not name were put in.
    Merged,
    /// The request names all defaults itself, or there are none.
    Complete,
    /// The defaults were not put into the body. Either the server would merge none into such a body, so nothing is
    /// missing. Or this crate could not merge them, and only a session can bring them: this is so for
    /// [`Encoded`](NotInlined::Encoded), [`Charset`](NotInlined::Charset), [`TooLong`](NotInlined::TooLong),
    /// [`BodyFailed`](NotInlined::BodyFailed) and [`NoLayer`](NotInlined::NoLayer).
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

    /// Returns whether a request with this method means the same with and without a session.
    ///
    /// A request without a `Content-Type`, or with an empty body, needs no session only if its method is `GET`, `HEAD`
    /// or `DELETE`. For other methods, a client below the layer may still add a `Content-Type`, or a length to an empty
    /// body (HTTP/2 clients do). The server would then merge the session's defaults.
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
