//! Defaults in bodies: when they are put in, and what became of them.

mod outcome;
mod reason;
mod setting;

pub use self::{outcome::Inlined, reason::NotInlined, setting::InlineDefaults};
