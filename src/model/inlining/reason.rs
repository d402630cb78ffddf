//! Why a body was not merged.

/// Why a request's body was not merged with the defaults.
///
/// For [`NotJson`](Self::NotJson), [`NoType`](Self::NoType), [`NoBody`](Self::NoBody) and
/// [`NotAnObject`](Self::NotAnObject) the server merges nothing either, so a session makes no difference to such a
/// request. For all other reasons, only a session in the header brings the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotInlined {
    /// The `Content-Type` is not `application/json`. `+json` types do not count.
    NotJson,
    /// There is no `Content-Type`. Without one the server merges nothing. But something below this crate's layers may
    /// add one, such as the `default_headers` of a `reqwest::Client`.
    NoType,
    /// The body is empty, and the request has neither `Content-Length: 0` nor `Transfer-Encoding`. With one of them,
    /// the server takes an empty body for `{}`. Some clients add one to a `POST`, so an empty `POST` still waits for a
    /// session.
    NoBody,
    /// The body is not a JSON object: it is an array, another value, or not JSON at all. The server refuses all of
    /// these except arrays.
    NotAnObject,
    /// The body is compressed, or has another `Content-Encoding` than `identity`. Put the compression below this
    /// crate's layers.
    Encoded,
    /// The `Content-Type` names another charset than UTF-8.
    Charset,
    /// The body, or the merged body, is longer than 1,048,576 bytes. The server refuses such bodies.
    TooLong,
    /// The body failed before its end.
    BodyFailed,
    /// No layer that merges bodies is below the session layer.
    NoLayer,
}

impl NotInlined {
    /// Returns whether the server would merge nothing either, so that a session makes no difference.
    pub(crate) fn is_servers(self) -> bool {
        matches!(
            self,
            Self::NotJson | Self::NoType | Self::NoBody | Self::NotAnObject
        )
    }
}
