//! The form in which something leaves the process: sealed by a key that only holders of the API key can make.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, Payload},
};
use hkdf::Hkdf;
use secrecy::zeroize::Zeroizing;
use sha2::Sha256;

use crate::{
    api::SessionDefaults,
    model::partition::Partition,
    scope::BaseUrl,
    secret::{ApiKey, to_json},
    store::Slot,
};

/// Of all that is written into a store. Another form gets another number, and so other names and keys.
const VERSION: &[u8] = b"sipher-session 1";
const NONCE: usize = 24;

/// What is kept in a slot.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A session with these defaults.
    Session,
    /// What has been changed by processes that were built with these defaults.
    Defaults,
    /// What the server has said of itself.
    Health,
    /// What it has said of a session in place of that.
    StandIn,
}

/// Seals and opens what is kept in one slot.
pub(super) struct Seal {
    pub(super) slot: Slot,
    cipher: XChaCha20Poly1305,
}

impl Seal {
    pub(super) fn of(partition: &Partition, base: &BaseUrl) -> Self {
        Self::new(Kind::Session, &partition.key, base, &partition.defaults)
    }

    pub(super) fn new(
        kind: Kind,
        key: &ApiKey,
        base: &BaseUrl,
        defaults: &SessionDefaults,
    ) -> Self {
        let kind: &[u8] = match kind {
            Kind::Session => b"session",
            // The second form. Version 0.1 had another, in a slot of its own.
            Kind::Defaults => b"defaults 2",
            Kind::Health => b"health",
            Kind::StandIn => b"stand-in",
        };
        let secret = Hkdf::<Sha256>::new(Some(VERSION), key.expose().as_bytes());
        let defaults = to_json(defaults);
        let base = base.to_string();
        let derive = |what: &[u8], out: &mut [u8]| {
            // The lengths in front keep parts from running into each other.
            let lengths = [kind.len(), base.len()].map(|length| (length as u64).to_be_bytes());
            let [of_kind, of_base] = &lengths;
            let parts = [what, of_kind, kind, of_base, base.as_bytes(), &defaults];
            secret
                .expand_multi_info(&parts, out)
                .expect("far below the longest output of HKDF");
        };
        let (mut slot, mut key) = ([0; 16], Zeroizing::new([0; 32]));
        derive(b"slot", &mut slot);
        derive(b"seal", key.as_mut());
        Self {
            slot: Slot(slot),
            cipher: XChaCha20Poly1305::new((&*key).into()),
        }
    }

    /// `None` where the operating system has no random numbers.
    pub(super) fn seal(&self, generation: u64, plain: &[u8]) -> Option<Vec<u8>> {
        let nonce = XNonce::try_generate().ok()?;
        let payload = Payload {
            msg: plain,
            aad: &self.bound_to(generation),
        };
        let sealed = self.cipher.encrypt(&nonce, payload).ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    /// `None` for what was not sealed by a holder of the API key, for this slot and generation.
    pub(super) fn open(&self, generation: u64, record: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = record.split_at_checked(NONCE)?;
        let payload = Payload {
            msg: sealed,
            aad: &self.bound_to(generation),
        };
        let nonce = XNonce::try_from(nonce).ok()?;
        let plain = self.cipher.decrypt(&nonce, payload).ok()?;
        Some(Zeroizing::new(plain))
    }

    /// A record is of no use in another slot, or as another generation.
    fn bound_to(&self, generation: u64) -> [u8; 24] {
        let mut bound = [0; 24];
        bound[..16].copy_from_slice(&self.slot.0);
        bound[16..].copy_from_slice(&generation.to_be_bytes());
        bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chain, scope::PlainHttp};

    fn seal(kind: Kind, key: &str, base: &str, chain: Chain) -> Seal {
        let base = BaseUrl::parse(base, PlainHttp::OnLoopback).unwrap();
        let defaults = SessionDefaults::new().chain(chain);
        Seal::new(kind, &key.into(), &base, &defaults)
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
