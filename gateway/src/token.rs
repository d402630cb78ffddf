//! The gateway's own token, which callers have to show.

use std::fmt;

use http::{HeaderMap, HeaderName};
use subtle::ConstantTimeEq;

use crate::GatewayError;

/// The header that carries the token. It never reaches Sipher.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-gateway-token");
/// Sixteen random characters cannot be guessed by trying.
const LEAST: usize = 16;
const MOST: usize = 1024;

/// A secret that callers show in `X-Gateway-Token`.
///
/// ```
/// use sipher_session_gateway::Token;
///
/// assert!(Token::new("8f1c2b6e90d74a35").is_ok());
/// assert!(Token::new("short").is_err());
/// ```
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Makes a token. Blanks and line ends around it are ignored.
    ///
    /// # Errors
    ///
    /// If it has fewer than 16 or more than 1,024 characters, or one that is not visible ASCII.
    pub fn new(token: impl AsRef<str>) -> Result<Self, GatewayError> {
        let token = token.as_ref().trim();
        let wrong = |problem| Err(GatewayError::new("gateway.token_file", problem));
        let length = token.len();
        if !(LEAST..=MOST).contains(&length) {
            return wrong(format!(
                "the token has {length} characters; expected {LEAST} to {MOST}, such as the output of `openssl rand -hex 32`"
            ));
        }
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return wrong("the token has a character that is not visible ASCII".to_owned());
        }
        Ok(Self(token.to_owned()))
    }

    /// Returns whether these headers show the token, once.
    pub(crate) fn is_shown_in(&self, headers: &HeaderMap) -> bool {
        let mut shown = headers.get_all(HEADER).into_iter();
        let (Some(shown), None) = (shown.next(), shown.next()) else {
            return false;
        };
        // In constant time, so that nobody learns by measuring how many characters were right. The length is no secret.
        shown.as_bytes().ct_eq(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}
