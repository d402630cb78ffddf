//! What [`Error::find`](super::Error::find) can look into.

use std::error::Error as StdError;

use super::BoxError;

/// An error of whatever type, by reference. `M` says in which way it is one, so that no two of the implementations overlap.
pub trait AnyError<M> {
    #[doc(hidden)]
    fn as_std(&self) -> &(dyn StdError + 'static);
}

/// It is an error.
#[derive(Debug)]
pub struct Plain;
/// It is a trait object.
#[derive(Debug)]
pub struct Object;
/// It holds an error, as `anyhow::Error` does.
#[derive(Debug)]
pub struct Holder;
/// It is a box around one that may be sent to other threads.
#[derive(Debug)]
pub struct Boxed;

impl<E: StdError + 'static> AnyError<Plain> for E {
    fn as_std(&self) -> &(dyn StdError + 'static) {
        self
    }
}

impl AnyError<Object> for dyn StdError + 'static {
    fn as_std(&self) -> &(dyn StdError + 'static) {
        self
    }
}

impl AnyError<Object> for dyn StdError + Send + 'static {
    fn as_std(&self) -> &(dyn StdError + 'static) {
        self
    }
}

impl AnyError<Object> for dyn StdError + Send + Sync + 'static {
    fn as_std(&self) -> &(dyn StdError + 'static) {
        self
    }
}

impl<E: AsRef<dyn StdError + 'static>> AnyError<Holder> for E {
    fn as_std(&self) -> &(dyn StdError + 'static) {
        self.as_ref()
    }
}

impl AnyError<Boxed> for BoxError {
    fn as_std(&self) -> &(dyn StdError + 'static) {
        &**self
    }
}

impl AnyError<Boxed> for Box<dyn StdError + Send> {
    fn as_std(&self) -> &(dyn StdError + 'static) {
        &**self
    }
}
