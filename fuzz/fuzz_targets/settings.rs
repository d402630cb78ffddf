#![no_main]

use libfuzzer_sys::fuzz_target;
use sipher_session::{SessionConfig, SessionManagerBuilder, api::Transport, testing::FakeSipher};

fn build(config: SessionConfig) {
    // Do not read files of the machine.
    if config.api_key_file.is_some() || config.defaults.default_viewing_key_file.is_some() {
        return;
    }
    let builder = SessionManagerBuilder::from_config(config).expect("nothing to read");
    if let Err(error) = builder.transport(Transport::new(FakeSipher::new())).build() {
        assert!(error.to_string().contains(": "), "{error}");
    }
}

fuzz_target!(|settings: &[u8]| {
    if let Ok(config) = serde_json::from_slice(settings) {
        build(config);
    }
    if let Some(config) = std::str::from_utf8(settings).ok().and_then(|text| toml::from_str(text).ok()) {
        build(config);
    }
});
