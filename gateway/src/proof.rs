//! Says in a header what a request was sent with.
//!
//! | value | the request had |
//! | --- | --- |
//! | `confirmed` | a session, and the answer names its chain |
//! | `session` | a session |
//! | `session+inline` | a session, and its defaults in the body |
//! | `inline` | its defaults in the body, or it needed none |
//! | `neither` | no session and no defaults: the server's own applied |
//! | `own` | the caller's own session id |
//! | `without` | no session, because the settings say so |
//! | `other` | something that this version has no word for |
//! | `none` | nothing: a public page, or a call to `/v1/sessions` |
//!
//! A reason to doubt it follows as a parameter: `session;doubt=late`. The words are those of [`Doubt`]: `leaked`,
//! `late`, `lost`, `suspect`, `unproven`, and `other`.

use http::{Extensions, HeaderName, HeaderValue};
use sipher_session::{Doubt, Inlined, Proof};

/// The header of each answer that came from Sipher.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-sipher-session-proof");

/// Returns the value for an answer with these extensions.
pub(crate) fn value(answer: &Extensions) -> HeaderValue {
    let (word, doubt) = words(answer.get::<Proof>());
    let Some(doubt) = doubt else {
        return HeaderValue::from_static(word);
    };
    HeaderValue::from_str(&format!("{word};doubt={doubt}"))
        .unwrap_or_else(|_| HeaderValue::from_static(word))
}

fn words(proof: Option<&Proof>) -> (&'static str, Option<&'static str>) {
    let Some(proof) = proof else {
        return ("none", None);
    };
    match proof {
        Proof::Confirmed { .. } => ("confirmed", None),
        Proof::Session { inlined, doubt, .. } => {
            let word = if matches!(inlined, Inlined::Merged | Inlined::Complete) {
                "session+inline"
            } else {
                "session"
            };
            (word, doubt.map(doubts))
        }
        Proof::Inline { doubt, .. } => ("inline", doubt.map(doubts)),
        Proof::Neither { .. } => ("neither", None),
        Proof::OwnSession => ("own", None),
        Proof::Without => ("without", None),
        _ => ("other", None),
    }
}

fn doubts(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Leaked => "leaked",
        Doubt::Late => "late",
        Doubt::Lost => "lost",
        Doubt::Suspect => "suspect",
        Doubt::Unproven => "unproven",
        _ => "other",
    }
}
