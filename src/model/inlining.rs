//! Defaults in request bodies: when they are put in, and with which result.

mod outcome;
mod reason;
mod setting;

pub use self::{outcome::Inlined, reason::NotInlined, setting::InlineDefaults};
