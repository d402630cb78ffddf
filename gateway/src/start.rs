//! From a configuration to a gateway.

use sipher_session::{ForeignIds, SessionManager, SessionManagerBuilder};

use crate::{Config, Gateway, GatewayBuilder, Upstream, fields::AdminPort};

impl Config {
    /// Makes the manager and the gateway. They share their connections to Sipher. Opens no port: `build` does.
    ///
    /// A caller's own session id is replaced, unless `foreign_ids` says something else.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the settings, each with its name.
    pub fn builder(self) -> Result<(SessionManager, GatewayBuilder), Vec<String>> {
        let mut problems = self.about_keys();
        let limits = self.gateway.limits();
        let client = match Upstream::new(&limits) {
            Ok(client) => client,
            Err(problem) => {
                problems.push(problem.to_string());
                return Err(problems);
            }
        };
        let mut session = self.session;
        session.foreign_ids = session.foreign_ids.or(Some(ForeignIds::Replace));
        let sessions = SessionManagerBuilder::from_config(session)
            .and_then(|builder| builder.transport(client.transport()).build());
        // With a manager of no consequence, the gateway's own settings are checked all the same.
        let stand_in = || {
            SessionManager::builder()
                .transport(client.transport())
                .build()
        };
        let sessions = sessions.or_else(|error| {
            problems.push(error.to_string());
            stand_in()
        });
        let Ok(sessions) = sessions else {
            return Err(problems);
        };
        let mut builder = Gateway::builder(sessions.clone())
            .limits(limits)
            .client(client);
        builder = builder.listen(self.gateway.listen.unwrap_or(GatewayBuilder::LISTEN));
        let admin = AdminPort::At(GatewayBuilder::ADMIN);
        if let AdminPort::At(address) = self.gateway.admin.unwrap_or(admin) {
            builder = builder.admin(address);
        }
        if self.gateway.allow_remote == Some(true) {
            builder = builder.allow_remote();
        }
        if self.gateway.add_api_key == Some(true) {
            builder = builder.add_api_key();
        }
        if let Some(token) = self.token {
            builder = builder.token(token);
        }
        problems.extend(builder.problems().iter().map(ToString::to_string));
        if problems.is_empty() {
            return Ok((sessions, builder));
        }
        Err(problems)
    }

    /// Returns what is wrong between the key and the setting that lends it.
    fn about_keys(&self) -> Vec<String> {
        let has_key = self.session.api_key.is_some() || self.session.api_key_file.is_some();
        let problem = match (has_key, self.gateway.add_api_key == Some(true)) {
            (true, false) => {
                "api_key: is set, and nobody would get it; expected gateway.add_api_key = true, or no key here and one on each request"
            }
            (false, true) => {
                "gateway.add_api_key: is `true` without a key; expected api_key_file or SIPHER_API_KEY"
            }
            _ => return Vec::new(),
        };
        vec![problem.to_owned()]
    }
}
