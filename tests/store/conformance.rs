//! The promises of the trait's documentation, tested with every store.

mod claims;
mod members;
mod records;
