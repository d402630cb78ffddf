//! The members that are put into an object for the defaults that it lacks.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use serde_json::Value;

use super::key::Key;
use crate::{
    api::{Backend, Chain, KNOWN_DEFAULTS as KNOWN, PrivacyLevel, RpcProvider, SessionDefaults},
    secret::ViewingKey,
};

/// The defaults that a body lacks. At first that is all of them; each noted key removes one.
pub(super) struct Lacking<'d> {
    /// The values for the names in [`KNOWN`].
    known: [Option<&'d str>; KNOWN.len()],
    other: &'d BTreeMap<String, Value>,
    /// The names in `other` that the body has. Allocates nothing as long as the session has no such defaults.
    other_named: BTreeSet<&'d str>,
}

impl<'d> Lacking<'d> {
    pub(super) fn all(defaults: &'d SessionDefaults) -> Self {
        let SessionDefaults {
            chain,
            privacy_level,
            rpc_provider,
            backend,
            default_viewing_key,
            other,
        } = defaults;
        Self {
            known: [
                chain.as_ref().map(Chain::as_str),
                privacy_level.as_ref().map(PrivacyLevel::as_str),
                rpc_provider.as_ref().map(RpcProvider::as_str),
                backend.as_ref().map(Backend::as_str),
                default_viewing_key.as_ref().map(ViewingKey::expose),
            ],
            other,
            other_named: BTreeSet::new(),
        }
    }

    /// Notes that the body has this key, as it is written in the body's text.
    pub(super) fn note(&mut self, key: &[u8]) {
        let key = Key::new(key);
        if let Some(at) = KNOWN.iter().position(|name| key.is(name)) {
            self.known[at] = None;
        }
        if let Some(name) = self.other.keys().find(|name| key.is(name)) {
            self.other_named.insert(name);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.iter().all(Option::is_none) && self.other_members().next().is_none()
    }

    fn other_members(&self) -> impl Iterator<Item = (&'d String, &'d Value)> {
        let is_lacking = |name: &String| !self.other_named.contains(name.as_str());
        self.other.iter().filter(move |(name, _)| is_lacking(name))
    }

    /// Writes the lacking defaults as members with commas between them, in the order in which defaults are
    /// serialised.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut comma: &[u8] = b"";
        for (name, text) in KNOWN.iter().zip(self.known) {
            let Some(text) = text else { continue };
            out.write_all(comma)?;
            quote(name, out)?;
            out.write_all(b":")?;
            quote(text, out)?;
            comma = b",";
        }
        for (name, value) in self.other_members() {
            out.write_all(comma)?;
            quote(name, out)?;
            out.write_all(b":")?;
            serde_json::to_writer(&mut *out, value)?;
            comma = b",";
        }
        Ok(())
    }
}

/// Writes a JSON string. Nearly all texts need no escapes and are copied in one piece.
fn quote(text: &str, out: &mut impl Write) -> io::Result<()> {
    let is_escaped = |byte| byte < b' ' || byte == b'"' || byte == b'\\';
    if text.bytes().any(is_escaped) {
        return Ok(serde_json::to_writer(out, text)?);
    }
    out.write_all(b"\"")?;
    out.write_all(text.as_bytes())?;
    out.write_all(b"\"")
}

/// Counts the bytes that are written, so that the buffer can be allocated once.
#[derive(Default)]
pub(super) struct Length(pub(super) usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0 += bytes.len();
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
