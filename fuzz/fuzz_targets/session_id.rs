#![no_main]

use http::HeaderValue;
use libfuzzer_sys::fuzz_target;
use sipher_session::SessionId;

fuzz_target!(|text: &str| {
    let Some(id) = SessionId::parse(text) else { return };
    assert_eq!(id.as_str(), text);
    let digits = text.strip_prefix("sess_").expect("how an id begins");
    assert!(digits.len() == 64 && digits.bytes().all(|b| b"0123456789abcdef".contains(&b)));
    assert!(HeaderValue::from_str(text).is_ok());
    assert!(!format!("{id} {id:?}").contains(&digits[..12]));
});
