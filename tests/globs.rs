//! Glob imports of this crate hide no other crate that programs use.
//!
//! The test mostly consists in compiling.

#[allow(unused_imports)] // the test is that they compile
mod the_root {
    use sipher_session::*;

    #[cfg(feature = "reqwest")]
    #[test]
    fn the_crate_reqwest_is_still_that_crate() {
        let request =
            reqwest::Request::new(reqwest::Method::GET, "http://a.example".parse().unwrap());
        assert_eq!(request.url().host_str(), Some("a.example"));
        assert!(SessionManager::builder().api_key("").build().is_err());
    }
}

mod the_prelude {
    use sipher_session::prelude::*;

    /// Crates with these names exist too.
    mod config {
        pub(super) struct Config;
    }

    #[derive(Debug)]
    struct Error;

    #[test]
    fn it_has_the_front_door_and_no_module() {
        let _ = (config::Config, Error);
        let defaults = SessionDefaults::new().chain(Chain::Near);
        let sessions = SessionManager::builder()
            .api_key("sk_pro_1")
            .defaults(defaults);
        let layer = SessionLayer::new(sessions.build().unwrap());
        let _ = layer.replay_once().with_proof().checked();
        let names = include_str!("../src/prelude.rs")
            .split("pub use crate::{")
            .nth(1)
            .unwrap();
        let names = names.split('}').next().unwrap().split(',').map(str::trim);
        for name in names.filter(|name| !name.is_empty()) {
            assert!(name.starts_with(char::is_uppercase), "{name} is a module");
            assert_ne!(name, "Error");
        }
    }
}
