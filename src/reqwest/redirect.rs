//! Which redirects a `reqwest::Client` may follow.

use ::reqwest::{
    Url,
    redirect::{Attempt, Policy},
};

use crate::{front::manager::SessionManager, scope::Target};

impl SessionManager {
    /// Makes a redirect policy for the `reqwest::Client` below the layer, which keeps session ids and API keys where they
    /// belong. Give it to every client that is wrapped:
    ///
    /// ```no_run
    /// # #[cfg(feature = "reqwest-middleware")]
    /// # fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// use sipher_session::{SessionLayer, SessionManager};
    ///
    /// let sessions = SessionManager::builder().api_key("sk_pro_1234").build()?;
    /// let client = reqwest::Client::builder().redirect(sessions.redirect_policy()).build()?;
    /// let http = reqwest_middleware::ClientBuilder::new(client)
    ///     .with(SessionLayer::new(sessions))
    ///     .build();
    /// # Ok(()) }
    /// ```
    ///
    /// From Sipher to Sipher, that is below the base URL or an alias of it, redirects are followed, ten at most. At one that leaves Sipher,
    /// or leads there from elsewhere, the redirect itself is the response. Requests that have nothing to do with Sipher go
    /// by `reqwest`'s own policy.
    ///
    /// The policy holds the base URL and its aliases, and nothing else of the manager.
    #[must_use]
    pub fn redirect_policy(&self) -> Policy {
        self.redirect_policy_over(Policy::default())
    }

    /// The same, with a policy of your own for the requests that have nothing to do with Sipher.
    #[must_use]
    pub fn redirect_policy_over(&self, others: Policy) -> Policy {
        let settings = &self.core().settings;
        let (base, aliases) = (settings.base.clone(), settings.aliases.clone());
        let is_ours = move |url: &Url| {
            Target::of_url(url).is_some_and(|at| base.contains(at) || aliases.contains(at))
        };
        let within = Policy::default();
        Policy::custom(move |attempt| match Chain::of(&attempt, &is_ours) {
            Chain::Within => within.redirect(attempt),
            Chain::Across => attempt.stop(),
            Chain::Elsewhere => others.redirect(attempt),
        })
    }
}

/// The URLs that were asked, and the next one.
enum Chain {
    /// All are Sipher's.
    Within,
    /// Some are.
    Across,
    /// None is.
    Elsewhere,
}

impl Chain {
    /// Looks at all of it: the last URL does not show that a chain has been elsewhere.
    fn of(attempt: &Attempt<'_>, is_ours: impl Fn(&Url) -> bool) -> Self {
        let urls = attempt.previous().iter().chain([attempt.url()]);
        let (mut any, mut all) = (false, true);
        for is_ours in urls.map(is_ours) {
            any |= is_ours;
            all &= is_ours;
        }
        match (any, all) {
            (true, true) => Self::Within,
            (true, false) => Self::Across,
            (false, _) => Self::Elsewhere,
        }
    }
}
