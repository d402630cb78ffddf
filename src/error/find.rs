//! What [`Error::find`](super::Error::find) can look into.

use std::error::Error as StdError;

use super::BoxError;

/// An error of whatever type, by reference. `WAY` says in which way it is one, so that no two of the implementations overlap.
pub trait AnyError<const WAY: u8> {
    #[doc(hidden)]
    fn as_std(&self) -> &(dyn StdError + 'static);
}

/// It is an error.
const PLAIN: u8 = 0;
/// It is a trait object.
const OBJECT: u8 = 1;
/// It holds an error, as `anyhow::Error` does.
const HOLDER: u8 = 2;
/// It is a box around one that may be sent to other threads.
const BOXED: u8 = 3;

impl<E: StdError + 'static> AnyError<PLAIN> for E {
    fn as_std(&self) -> &(dyn StdError + 'static) {
        self
    }
}

impl AnyError<OBJECT> for dyn StdError + 'static {
    fn as_std(&self) -> &(dyn StdError + 'static) {
        self
    }
}

impl AnyError<OBJECT> for dyn StdError + Send + 'static {
    fn as_std(&self) -> &(dyn StdError + 'static) {
        self
    }
}

impl AnyError<OBJECT> for dyn StdError + Send + Sync + 'static {
    fn as_std(&self) -> &(dyn StdError + 'static) {
        self
    }
}

impl<E: AsRef<dyn StdError + 'static>> AnyError<HOLDER> for E {
    fn as_std(&self) -> &(dyn StdError + 'static) {
        self.as_ref()
    }
}

impl AnyError<BOXED> for BoxError {
    fn as_std(&self) -> &(dyn StdError + 'static) {
        &**self
    }
}

impl AnyError<BOXED> for Box<dyn StdError + Send> {
    fn as_std(&self) -> &(dyn StdError + 'static) {
        &**self
    }
}
