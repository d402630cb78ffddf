//! What the trait's documentation says, of every store that there is.

mod claims;
mod members;
mod records;
