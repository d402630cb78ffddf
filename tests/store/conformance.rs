//! What the trait's documentation says, of every store that there is.

mod members;
mod records;
mod rights;
