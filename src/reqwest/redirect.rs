//! Decides which redirects a `reqwest::Client` may follow.

use ::reqwest::{
    Url,
    redirect::{Attempt, Policy},
};

use crate::{front::manager::SessionManager, scope::Target};

impl SessionManager {
    /// Makes a redirect policy for the `reqwest::Client` below the layer. It keeps session ids and API keys from
    /// leaving Sipher. Use it for every client that you wrap:
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
    /// A URL is Sipher's if it is below the base URL or an alias. A redirect from Sipher to Sipher is followed, ten
    /// times at most. A redirect that leaves Sipher, or leads to Sipher from elsewhere, is not followed: the caller
    /// gets the redirect as the response. For requests that never touch Sipher, `reqwest`'s own policy applies.
    ///
    /// The policy keeps a copy of the base URL and its aliases. It does not keep the manager alive.
    #[must_use]
    pub fn redirect_policy(&self) -> Policy {
        self.redirect_policy_over(Policy::default())
    }

    /// Makes the same policy, but with a policy of your own for the requests that never touch Sipher.
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

/// The URLs of a redirect chain so far, and the next one.
enum Chain {
    /// All URLs are Sipher's.
    Within,
    /// Some URLs are Sipher's.
    Across,
    /// No URL is Sipher's.
    Elsewhere,
}

impl Chain {
    /// Looks at the whole chain: the last URL alone does not show whether the chain went elsewhere.
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
