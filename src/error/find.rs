//! The types that [`Error::find`](super::Error::find) can search.

use std::error::Error as StdError;

use super::BoxError;

/// A type of error that `Error::find` accepts. `WAY` differs in each implementation; otherwise the implementations
/// would overlap.
pub trait AnyError<const WAY: u8> {
    #[doc(hidden)]
    fn as_std(&self) -> &(dyn StdError + 'static);
}

/// The type implements `Error`.
const PLAIN: u8 = 0;
/// The type is a trait object, `dyn Error`.
const OBJECT: u8 = 1;
/// The type holds an error, as `anyhow::Error` does.
const HOLDER: u8 = 2;
/// The type is a `Box` around a `dyn Error` that is `Send`.
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
