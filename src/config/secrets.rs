//! Secrets in settings: read from the setting or from a file, and never written.

use std::{fs::File, io::Read, path::PathBuf};

use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Deserializer, Serializer, de};

use crate::{
    error::Error,
    secret::{ApiKey, ViewingKey},
};

/// Written in place of a secret.
pub(super) const REDACTED: &str = "[redacted]";
/// The longest file that is accepted, in bytes. It has room for every key and for the line end that editors add.
const MAX_FILE: u64 = 64 * 1024;
/// The capacity of the buffer for a file: a little more than [`MAX_FILE`], so that the buffer never grows.
const ROOM: usize = 64 * 1024 + 64;

/// Generates a type for serde's `with` that reads an optional secret, and writes `[redacted]` in its place.
macro_rules! secret {
    ($($name:ident: $type:ident = $path:literal),+) => {$(
        #[allow(non_camel_case_types)] // the name of the setting
        pub(super) enum $name {}

        impl $name {
            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<$type>, D::Error> {
                // A value that is not text may still be the secret, written without quotes. So the error does not
                // repeat it.
                let secret = Option::<String>::deserialize(d)
                    .map_err(|_| de::Error::custom(concat!($path, ": is not text; expected it in quotes")))?;
                let Some(secret) = secret else { return Ok(None) };
                if secret == REDACTED {
                    return Err(de::Error::custom(concat!(
                        $path,
                        ": is what was written in its place; expected the secret itself, or a file with it"
                    )));
                }
                Ok(Some(secret.into()))
            }

            #[allow(clippy::ref_option)] // serde requires this form
            pub(crate) fn serialize<S: Serializer>(_: &Option<$type>, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(REDACTED)
            }
        }
    )+};
}

secret!(api_key: ApiKey = "api_key", viewing_key: ViewingKey = "defaults.default_viewing_key");

/// Returns a secret, read from its file if it has one.
pub(super) fn read<T: From<String>>(
    name: &str,
    secret: Option<T>,
    file: Option<PathBuf>,
) -> Result<Option<T>, Error> {
    let Some(file) = file else { return Ok(secret) };
    if secret.is_some() {
        return Err(Error::config(format!(
            "{name}: is set together with {name}_file; expected one of them"
        )));
    }
    let path = file.display();
    let unreadable = |error| {
        let text =
            format!("{name}_file: `{path}` cannot be read; expected a text file with the secret");
        Error::config(text).with_source(error)
    };
    // The capacity is enough for the whole file: growing would leave a copy of the secret behind. The buffer is wiped
    // when it is dropped.
    let mut text = Zeroizing::new(String::with_capacity(ROOM));
    // Read only a limited part: some files, such as devices, have no end.
    let mut start = File::open(&file).map_err(unreadable)?.take(MAX_FILE + 1);
    let length = start.read_to_string(&mut text).map_err(unreadable)?;
    if length as u64 > MAX_FILE {
        return Err(Error::config(format!(
            "{name}_file: `{path}` is longer than {MAX_FILE} bytes; \
             expected a text file with the secret and nothing else"
        )));
    }
    Ok(Some(T::from(text.trim().to_owned())))
}
