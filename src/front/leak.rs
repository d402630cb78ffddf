//! Detects redirects to another origin. If a client below the layer follows redirects, it sends session id and API key
//! along.
//!
//! When a redirect leaves an origin, clients remove `Authorization` and `Cookie`, but no other header. So this module
//! compares where an answer came from with the base URL and its aliases. It detects the leak only afterwards, and sees
//! only the last hop: a chain from Sipher to another origin and back to Sipher looks like no redirect at all.

use std::{error::Error as StdError, sync::atomic::Ordering};

use super::token::{Bears, Token};
use crate::{
    api::scrub,
    model::{event::Event, reason::RetireReason},
    scope::{Origin, Target},
    secret::{ApiKey, Fingerprint},
};

impl Token {
    /// Called with the URL that sent the answer. It is the end of a chain of redirects, or the request's own URL.
    pub(crate) fn was_answered_from(&self, target: Target<'_>) {
        let Some(origin) = target.origin else { return };
        if !self.manager.core().settings.contains(target) {
            self.leaked_to(origin);
        }
    }

    #[cold]
    fn leaked_to(&self, origin: Origin<'_>) {
        let core = self.manager.core();
        let leaked = |session, key: &ApiKey| {
            core.emit(Event::Leaked {
                session,
                api_key: Fingerprint::of(key.expose()),
                // The author of the redirect may have put the key into the host name. Host names are lower case, so
                // compare in lower case.
                to: scrub::text(
                    &origin.to_string().to_lowercase(),
                    &[&key.expose().to_lowercase()],
                ),
            });
        };
        match &self.bears {
            Bears::Remembered(session) | Bears::Session(session) => {
                if session.set_leaked() {
                    core.retire_this(RetireReason::Leaked, session);
                    leaked(Some(session.reference()), &session.partition.key);
                }
            }
            Bears::Inline(partition) => {
                self.leaked.store(true, Ordering::Release);
                leaked(None, &partition.key);
            }
            Bears::Nothing { key: Some(key), .. } => leaked(None, key),
            // The caller has put in key and id itself, so nothing of the manager's leaked.
            Bears::Nothing { key: None, .. } => {}
        }
    }
}

/// Returns the URL at which a client stopped following redirects.
#[cfg(feature = "reqwest")]
pub(crate) fn given_up_at<'a>(error: &'a (dyn StdError + 'static)) -> Option<Target<'a>> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<::reqwest::Error>()
            && error.is_redirect()
        {
            return Target::of_url(error.url()?);
        }
        next = error.source();
    }
    None
}

#[cfg(not(feature = "reqwest"))]
pub(crate) fn given_up_at<'a>(_: &'a (dyn StdError + 'static)) -> Option<Target<'a>> {
    None
}
