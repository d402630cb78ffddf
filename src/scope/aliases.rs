//! Other names of the same server: a request below any of them is Sipher's, as one below the base URL is.

use std::sync::Arc;

use super::{BaseUrl, Glance, Origin, Place, Scope, Target, Unaddressed};

/// Looked at only after the base URL did not match, so that they cost its requests nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aliases(Arc<[BaseUrl]>);

impl Aliases {
    /// A request that is not Sipher's is compared with each of them.
    pub(crate) const MOST: usize = 16;

    pub(crate) fn new(aliases: Vec<BaseUrl>) -> Self {
        Self(aliases.into())
    }

    /// What a place is at first sight that the base URL called [`Glance::Elsewhere`].
    #[inline]
    pub(crate) fn glance(&self, place: Place<'_>) -> Glance {
        let mut glance = Glance::Elsewhere;
        for alias in &*self.0 {
            match alias.glance(place) {
                Glance::Sipher => return Glance::Sipher,
                Glance::Unclear => glance = Glance::Unclear,
                Glance::Elsewhere => {}
            }
        }
        glance
    }

    /// What a request is that the base URL called `by_base`. One that does not say where it goes is never below an alias.
    pub(crate) fn scope(&self, target: Option<Target<'_>>, by_base: Scope) -> Scope {
        if by_base != Scope::Elsewhere {
            return by_base;
        }
        let scopes = self.0.iter();
        let mut scopes = scopes.map(|alias| alias.scope(target, Unaddressed::Elsewhere));
        let ours = scopes.find(|scope| *scope != Scope::Elsewhere);
        ours.unwrap_or(Scope::Elsewhere)
    }

    pub(crate) fn are_on_loopback(&self) -> bool {
        self.0.iter().any(BaseUrl::is_loopback)
    }

    /// Whether one of them is on this machine, as the origin is, at the same port.
    pub(crate) fn are_beside(&self, origin: &Origin<'_>) -> bool {
        self.0.iter().any(|alias| alias.is_beside(origin))
    }

    pub(crate) fn has(&self, base: &BaseUrl) -> bool {
        self.0.contains(base)
    }

    pub(crate) fn contains(&self, target: Target<'_>) -> bool {
        self.0.iter().any(|alias| alias.contains(target))
    }
}
