//! What went where it must not: a client below the layer that follows redirects takes session id and API key along.
//!
//! Clients take off `Authorization` and `Cookie` when they leave an origin, and nothing else. So where an answer came
//! from is compared with the base URL and its aliases. This is after the fact, and sees the last hop alone: Sipher, elsewhere, Sipher
//! looks like no redirect at all.

use std::{error::Error as StdError, sync::atomic::Ordering};

use super::token::{Bears, Token};
use crate::{
    api::scrub,
    model::{event::Event, reason::RetireReason},
    scope::{Origin, Target},
    secret::{ApiKey, Fingerprint},
};

impl Token {
    /// The request has been sent there, at the end of a chain of redirects or at once.
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
                // Whoever wrote the redirect may have put the key into the name, where letter case is lost.
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
            // What it bore was its sender's own.
            Bears::Nothing { key: None, .. } => {}
        }
    }
}

/// Where a client gave up to follow redirects.
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
