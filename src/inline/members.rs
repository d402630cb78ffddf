//! The members that defaults put into an object, and which of them a body has.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use serde_json::Value;

use crate::{
    api::{Backend, Chain, KNOWN_DEFAULTS as KNOWN, PrivacyLevel, RpcProvider, SessionDefaults},
    secret::ViewingKey,
};

/// Which of the defaults a body names itself.
#[derive(Default)]
pub(super) struct Named<'d> {
    known: [bool; KNOWN.len()],
    /// Takes nothing from the heap while the server knows no other defaults.
    other: BTreeSet<&'d str>,
}

impl<'d> Named<'d> {
    /// Notes that the body has this key, in the bytes that it stands for.
    pub(super) fn note(&mut self, key: &[u8], defaults: &'d SessionDefaults) {
        if let Some(at) = KNOWN.iter().position(|name| name.as_bytes() == key) {
            self.known[at] = true;
        }
        if defaults.other.is_empty() {
            return;
        }
        // The server reads invalid UTF-8 lossily.
        let key = String::from_utf8_lossy(key);
        if let Some((name, _)) = defaults.other.get_key_value(&*key) {
            self.other.insert(name);
        }
    }
}

/// The value of one default.
#[derive(Clone, Copy)]
pub(super) enum Content<'d> {
    Text(&'d str),
    Json(&'d Value),
}

/// The defaults that a body lacks, in the order in which they are serialised.
pub(super) fn lacking<'d>(
    defaults: &'d SessionDefaults,
    named: &Named<'d>,
) -> impl Iterator<Item = (&'d str, Content<'d>)> + Clone {
    let known = KNOWN.into_iter().zip(named.known).zip(texts(defaults));
    let known = known.filter(|((_, is_named), _)| !is_named);
    let known = known.filter_map(|((name, _), text)| Some((name, Content::Text(text?))));
    let other = defaults.other.iter();
    let other = other.map(|(name, value)| (name.as_str(), Content::Json(value)));
    known.chain(other.filter(|(name, _)| !named.other.contains(name)))
}

/// The values of [`KNOWN`].
fn texts(defaults: &SessionDefaults) -> [Option<&str>; KNOWN.len()] {
    let SessionDefaults {
        chain,
        privacy_level,
        rpc_provider,
        backend,
        default_viewing_key,
        other: _,
    } = defaults;
    [
        chain.as_ref().map(Chain::as_str),
        privacy_level.as_ref().map(PrivacyLevel::as_str),
        rpc_provider.as_ref().map(RpcProvider::as_str),
        backend.as_ref().map(Backend::as_str),
        default_viewing_key.as_ref().map(ViewingKey::expose),
    ]
}

/// Writes members with commas between them.
pub(super) fn write<'d>(
    members: impl Iterator<Item = (&'d str, Content<'d>)>,
    out: &mut impl Write,
) -> io::Result<()> {
    for (index, (name, content)) in members.enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        serde_json::to_writer(&mut *out, name)?;
        out.write_all(b":")?;
        match content {
            Content::Text(text) => serde_json::to_writer(&mut *out, text)?,
            Content::Json(value) => serde_json::to_writer(&mut *out, value)?,
        }
    }
    Ok(())
}

/// Counts what is written, so that room for it is made once.
#[derive(Default)]
pub(super) struct Length(pub(super) usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
