#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use sipher_session::{
    SessionDefaults,
    inline::{Merge, merge},
};

// The input is the defaults as JSON, up to a NUL, and then the body. The merged body must be the body with one
// insertion, and must lack nothing more. If `serde_json` can read the body, both ways of merging must give the same
// object.
fuzz_target!(|input: &[u8]| {
    let end = input.iter().position(|byte| *byte == 0).unwrap_or(input.len());
    let (defaults, body) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let Ok(defaults) = serde_json::from_slice::<SessionDefaults>(defaults) else { return };
    let Ok(Value::Object(session)) = serde_json::to_value(&defaults) else { return };
    let simple = serde_json::from_slice::<Map<String, Value>>(body).ok();
    match merge(body, &defaults) {
        Merge::Merged(merged) => {
            let start = body.iter().zip(&merged).take_while(|(a, b)| a == b).count();
            let end = body.iter().rev().zip(merged.iter().rev()).take_while(|(a, b)| a == b).count();
            assert!(merged.len() > body.len() && start + end >= body.len());
            assert_eq!(merge(&merged, &defaults), Merge::Complete);
            if let Some(mut simple) = simple {
                session.into_iter().for_each(|(name, value)| drop(simple.entry(name).or_insert(value)));
                assert_eq!(serde_json::from_slice::<Map<String, Value>>(&merged).ok(), Some(simple));
            }
        }
        Merge::Complete => {
            if let Some(simple) = simple {
                assert!(session.keys().all(|name| simple.contains_key(name)));
            }
        }
        _ => assert!(simple.is_none()),
    }
});
