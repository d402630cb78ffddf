//! The form in which data leaves the process: encrypted with a key that only holders of the API key can derive.

use secrecy::zeroize::Zeroizing;

use super::Inner;
use crate::{
    api::SessionDefaults,
    driver::core::Core,
    model::partition::Partition,
    scope::BaseUrl,
    secret::{ApiKey, to_json},
    store::Slot,
};

/// What a slot is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A session with these defaults.
    Session,
    /// The changes of processes that were built with these defaults.
    Defaults,
    /// The server's answer to `GET /v1/health`.
    Health,
    /// The server's answer to a session call in place of `GET /v1/health`.
    StandIn,
}

/// Derives a slot and its cipher from an API key and from what the slot is for.
pub(crate) type Derive = fn(&ApiKey, [&[u8]; 3]) -> (Slot, Box<dyn Cipher>);

/// An authenticated cipher. It opens data only with the same `bound_to` that the data was sealed with.
pub(crate) trait Cipher: Send + Sync {
    /// Returns `None` if the operating system has no random numbers.
    fn seal(&self, plain: &[u8], bound_to: &[u8]) -> Option<Vec<u8>>;

    fn open(&self, sealed: &[u8], bound_to: &[u8]) -> Option<Zeroizing<Vec<u8>>>;
}

/// Encrypts and decrypts what is stored in one slot.
pub(super) struct Seal {
    pub(super) slot: Slot,
    cipher: Box<dyn Cipher>,
}

impl Seal {
    pub(super) fn new(
        derive: Derive,
        kind: Kind,
        key: &ApiKey,
        base: &BaseUrl,
        defaults: &SessionDefaults,
    ) -> Self {
        let kind: &[u8] = match kind {
            Kind::Session => b"session",
            // The second form of these records. Version 0.1 writes another form, into another slot.
            Kind::Defaults => b"defaults 2",
            Kind::Health => b"health",
            Kind::StandIn => b"stand-in",
        };
        let base = base.to_string();
        let (slot, cipher) = derive(key, [kind, base.as_bytes(), &to_json(defaults)]);
        Self { slot, cipher }
    }

    /// Returns `None` if the operating system has no random numbers.
    pub(super) fn seal(&self, generation: u64, plain: &[u8]) -> Option<Vec<u8>> {
        self.cipher.seal(plain, &self.bound_to(generation))
    }

    /// Returns `None` unless a holder of the API key sealed the record for this slot and generation.
    pub(super) fn open(&self, generation: u64, record: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        self.cipher.open(record, &self.bound_to(generation))
    }

    /// Returns the bytes that bind a record to its slot and generation. So it cannot be used in another slot, or as
    /// another generation.
    fn bound_to(&self, generation: u64) -> [u8; 24] {
        let mut bound = [0; 24];
        bound[..16].copy_from_slice(&self.slot.0);
        bound[16..].copy_from_slice(&generation.to_be_bytes());
        bound
    }
}

impl Inner {
    pub(super) fn seal(
        &self,
        core: &Core,
        kind: Kind,
        key: &ApiKey,
        defaults: &SessionDefaults,
    ) -> Seal {
        Seal::new(
            self.sharing.derive,
            kind,
            key,
            &core.settings.base,
            defaults,
        )
    }

    pub(super) fn seal_of(&self, core: &Core, partition: &Partition) -> Seal {
        self.seal(core, Kind::Session, &partition.key, &partition.defaults)
    }
}

#[cfg(all(test, feature = "store"))]
mod tests {
    use super::*;
    use crate::{Chain, driver::fleet::derive, scope::PlainHttp};

    #[allow(clippy::unwrap_used)] // a test
    fn seal(kind: Kind, key: &str, base: &str, chain: Chain) -> Seal {
        let base = BaseUrl::parse(base, PlainHttp::OnLoopback).unwrap();
        let defaults = SessionDefaults::new().chain(chain);
        Seal::new(derive, kind, &key.into(), &base, &defaults)
    }

    #[test]
    fn whoever_differs_in_anything_has_another_slot_and_opens_nothing() {
        let base = "https://sipher.example";
        let one = seal(Kind::Session, "k1", base, Chain::Near);
        let record = one.seal(7, b"said").unwrap();
        assert_eq!(one.open(7, &record).unwrap().as_slice(), b"said");
        assert_eq!(one.open(8, &record), None, "another generation");
        for other in [
            seal(Kind::Defaults, "k1", base, Chain::Near),
            seal(Kind::Session, "k2", base, Chain::Near),
            seal(Kind::Session, "k1", "https://other.example", Chain::Near),
            seal(Kind::Session, "k1", base, Chain::Sui),
        ] {
            assert_ne!(other.slot, one.slot);
            assert_eq!(other.open(7, &record), None);
        }
        let again = seal(Kind::Session, "k1", base, Chain::Near);
        assert_eq!(again.slot, one.slot);
        assert_eq!(again.open(7, &record).unwrap().as_slice(), b"said");
    }

    #[test]
    fn a_record_with_any_bit_changed_is_not_opened() {
        let seal = seal(Kind::Session, "k1", "https://sipher.example", Chain::Near);
        let record = seal.seal(7, b"said").unwrap();
        for bit in 0..8 * record.len() {
            let mut changed = record.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(seal.open(7, &changed), None, "bit {bit}");
        }
    }
}
