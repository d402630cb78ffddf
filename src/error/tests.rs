//! An error of this crate can be found inside any wrapper, and printing it repeats no line.

use std::{error::Error as StdError, fmt, io};

use super::{BoxError, Error, ErrorKind};

/// A wrapper like one that `#[error(transparent)]` generates.
struct Transparent<E>(E);

impl<E: fmt::Display> fmt::Display for Transparent<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: fmt::Debug> fmt::Debug for Transparent<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: StdError> StdError for Transparent<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

fn with_cause() -> Error {
    let cause = Transparent(io::Error::other("reset"));
    let error = Error::new(ErrorKind::Unavailable, "could not reach it").with_source(cause);
    error.with_retry_after(super::Duration::from_secs(3))
}

fn chain_of(error: &(dyn StdError + 'static)) -> Vec<String> {
    let mut chain = vec![error.to_string()];
    chain.extend(error.source().into_iter().flat_map(chain_of));
    chain
}

#[test]
fn it_is_found_in_whatever_holds_it() {
    let error = with_cause();
    let is_it = |found: Option<&Error>| {
        let found = found.expect("it is there");
        assert_eq!(found.to_string(), error.to_string());
        assert_eq!(found.kind(), ErrorKind::Unavailable);
        assert_eq!(found.retry_after(), error.retry_after());
    };
    is_it(Error::find(&error));
    is_it(Error::find(&error as &(dyn StdError + 'static)));
    is_it(Error::find(&error as &(dyn StdError + Send + Sync)));
    is_it(Error::find(&(Box::new(error.clone()) as BoxError)));
    is_it(Error::find(&*(Box::new(error.clone()) as BoxError)));
    is_it(Error::find((Box::new(error.clone()) as BoxError).as_ref()));
    is_it(Error::find(&(Box::new(error.clone()) as Box<dyn StdError>)));
    is_it(Error::find(
        &(Box::new(error.clone()) as Box<dyn StdError + Send>),
    ));
    is_it(Error::find(&Box::new(error.clone())));
    is_it(Error::find(&std::sync::Arc::new(error.clone())));
    is_it(Error::find(&io::Error::other(error.clone())));
    is_it(Error::find(&Transparent(error.clone())));
    is_it(Error::find(&Transparent(Transparent(error.clone()))));
    let outcome: Result<(), _> = Err(Box::new(Transparent(error.clone())) as BoxError);
    is_it(outcome.as_ref().err().and_then(Error::find));
    assert!(Error::find(&io::Error::other("not ours")).is_none());
}

#[test]
fn who_walks_the_sources_by_hand_finds_it_too() {
    let error = Transparent(Transparent(with_cause()));
    let mut next: Option<&(dyn StdError + 'static)> = Some(&error);
    let mut found = None;
    while let Some(error) = next {
        found = found.or(error.downcast_ref::<Error>());
        next = error.source();
    }
    assert_eq!(found.unwrap().kind(), ErrorKind::Unavailable);
    assert_eq!(found.unwrap().retry_after(), with_cause().retry_after());
}

#[test]
fn a_printed_chain_says_nothing_twice() {
    assert_eq!(chain_of(&with_cause()), ["could not reach it", "reset"]);
    let wrapped = Transparent(with_cause());
    assert_eq!(chain_of(&wrapped), ["could not reach it", "reset"]);
    let deep = Error::new(ErrorKind::Store, "outer").with_source(with_cause());
    assert_eq!(chain_of(&deep), ["outer", "could not reach it", "reset"]);
    let bare = Error::new(ErrorKind::NoApiKey, "no key");
    assert_eq!(chain_of(&bare), ["no key", "NoApiKey"]);
    let due = bare.with_retry_after(super::Duration::from_secs(2));
    assert_eq!(chain_of(&due), ["no key", "NoApiKey, retry after 2s"]);
}

#[test]
fn what_is_told_of_one_session_is_not_told_of_another() {
    let error = with_cause().about("https://a.example, key 1");
    assert_eq!(
        error.to_string(),
        "could not reach it (https://a.example, key 1)"
    );
    let other = error.clone().about("https://a.example, key 2");
    assert_eq!(
        other.to_string(),
        "could not reach it (https://a.example, key 2)"
    );
    assert_eq!(other.retry_after(), error.retry_after());
    let found = Error::find(&Transparent(other.clone())).map(ToString::to_string);
    assert_eq!(found, Some(other.to_string()));
}
