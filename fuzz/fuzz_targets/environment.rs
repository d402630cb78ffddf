#![no_main]

use std::{ffi::OsString, os::unix::ffi::OsStringExt};

use libfuzzer_sys::fuzz_target;
use sipher_session::{SessionConfig, SessionManagerBuilder, api::Transport, testing::FakeSipher};

const VARIABLES: [&str; 16] = [
    "SIPHER_API_KEY", "SIPHER_BASE_URL", "SIPHER_CHAIN", "SIPHER_PRIVACY_LEVEL", "SIPHER_RPC_PROVIDER",
    "SIPHER_BACKEND", "SIPHER_VIEWING_KEY", "SIPHER_TTL", "SIPHER_CREATE_TIMEOUT", "SIPHER_MAX_WAIT",
    "SIPHER_LINGER", "SIPHER_VERIFY_EVERY", "SIPHER_ON_NO_SESSION", "SIPHER_MAX_SESSIONS",
    "SIPHER_CALLS_PER_MINUTE", "SIPHER_CALL_BURST",
];

// The input names variables, each with its value.
fuzz_target!(|variables: Vec<(u8, Vec<u8>)>| {
    let lookup = |asked: &str| {
        let is_it = |which: u8| VARIABLES[usize::from(which) % VARIABLES.len()] == asked;
        let found = variables.iter().find(|(which, _)| is_it(*which));
        found.map(|(_, value)| OsString::from_vec(value.clone()))
    };
    match SessionConfig::from_variables(lookup) {
        Err(error) => assert!(error.to_string().starts_with("SIPHER_"), "{error}"),
        Ok(config) => {
            let builder = SessionManagerBuilder::from_config(config).expect("no files");
            drop(builder.transport(Transport::new(FakeSipher::new())).build());
        }
    }
});
