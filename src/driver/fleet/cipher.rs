//! Names slots, and encrypts what is stored in them.

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, Payload},
};
use hkdf::Hkdf;
use secrecy::zeroize::Zeroizing;
use sha2::Sha256;

use super::seal::Cipher;
use crate::{secret::ApiKey, store::Slot};

/// The version of everything that is written into a store. Each version has slots and encryption keys of its own.
const VERSION: &[u8] = b"sipher-session 1";
const NONCE: usize = 24;

pub(crate) fn derive(key: &ApiKey, [kind, base, defaults]: [&[u8]; 3]) -> (Slot, Box<dyn Cipher>) {
    let secret = Hkdf::<Sha256>::new(Some(VERSION), key.expose().as_bytes());
    let derive = |what: &[u8], out: &mut [u8]| {
        // The lengths come first, so that no two lists of parts give the same bytes.
        let lengths = [kind.len(), base.len()].map(|length| (length as u64).to_be_bytes());
        let [of_kind, of_base] = &lengths;
        let parts = [what, of_kind, kind, of_base, base, defaults];
        secret
            .expand_multi_info(&parts, out)
            .expect("far below the longest output of HKDF");
    };
    let (mut slot, mut key) = ([0; 16], Zeroizing::new([0; 32]));
    derive(b"slot", &mut slot);
    derive(b"seal", key.as_mut());
    let cipher = XChaCha20Poly1305::new((&*key).into());
    (Slot(slot), Box::new(cipher))
}

impl Cipher for XChaCha20Poly1305 {
    fn seal(&self, plain: &[u8], bound_to: &[u8]) -> Option<Vec<u8>> {
        let nonce = XNonce::try_generate().ok()?;
        let payload = Payload {
            msg: plain,
            aad: bound_to,
        };
        let sealed = self.encrypt(&nonce, payload).ok()?;
        Some([nonce.as_slice(), &sealed].concat())
    }

    fn open(&self, sealed: &[u8], bound_to: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE)?;
        let payload = Payload {
            msg: sealed,
            aad: bound_to,
        };
        let nonce = XNonce::try_from(nonce).ok()?;
        let plain = self.decrypt(&nonce, payload).ok()?;
        Some(Zeroizing::new(plain))
    }
}
