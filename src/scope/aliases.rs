//! Other names of the same server. A request below any of them is a request to Sipher, like one below the base URL.

use std::sync::Arc;

use super::{BaseUrl, Glance, Origin, Place, Scope, Target, Unaddressed};

/// The aliases. A request is compared with them only if the base URL did not match, so requests to the base URL pay
/// nothing for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Aliases(Arc<[BaseUrl]>);

impl Aliases {
    /// The limit on aliases, because a request to another origin is compared with each of them.
    pub(crate) const MOST: usize = 16;

    pub(crate) fn new(aliases: Vec<BaseUrl>) -> Self {
        Self(aliases.into())
    }

    /// Compares a place with the aliases, quickly. Call it if the base URL returned [`Glance::Elsewhere`].
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

    /// Returns the scope of a request. `by_base` is what the base URL returned. A request without an origin in its URI
    /// is never below an alias.
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

    /// Returns whether an alias and the origin are both on this machine, at the same port.
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
