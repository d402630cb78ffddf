//! Faults in the merge of defaults into a body.

use crate::list::{By::Test, Mutation};

const BY: crate::list::By = Test {
    target: "lib",
    name: "merged_and_without_a_session_a_body_means_what_it_means_with_one",
};

pub(crate) const OF_MERGE: &[Mutation] = &[
    Mutation {
        name: "an_escaped_key_counts_as_missing",
        invariant: "I12",
        by: BY,
        file: "src/inline/key.rs",
        old: "byte.is_ascii() && byte != b'\\\\'",
        new: "byte.is_ascii()",
    },
    Mutation {
        name: "null_counts_as_missing",
        invariant: "I12",
        by: BY,
        file: "src/inline/scan.rs",
        old: "        if open.depth() == 1 {\n            (self.note)(key);\n        }\n        self.blanks();\n        self.eats(b':').then_some(())",
        new: "        self.blanks();\n        self.eats(b':').then_some(())?;\n        if open.depth() == 1 && !self.rest.trim_ascii_start().starts_with(b\"null\") {\n            (self.note)(key);\n        }\n        Some(())",
    },
    Mutation {
        name: "a_nested_key_counts_as_present",
        invariant: "I12",
        by: BY,
        file: "src/inline/scan.rs",
        old: "if open.depth() == 1 {",
        new: "if open.depth() >= 1 {",
    },
    Mutation {
        name: "a_control_character_in_a_string_is_json",
        invariant: "I12",
        by: BY,
        file: "src/inline/scan.rs",
        old: "                b'\\\\' => self.escape()?,\n                _ => return None,",
        new: "                b'\\\\' => self.escape()?,\n                _ => {}",
    },
    Mutation {
        name: "a_body_in_another_charset_is_merged",
        invariant: "I12",
        by: BY,
        file: "src/inline/head.rs",
        old: "} else if !is_utf8(parameters) {",
        new: "} else if !is_utf8(parameters) && parameters.is_empty() {",
    },
];
