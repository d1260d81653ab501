//! Payloads at rest: encrypted, and bound to what they belong to.

use chacha20poly1305::{
    XNonce,
    aead::{Aead as _, Payload as Message},
};
use steadyhand_core::{
    chance::Entropy,
    store::{Keep, Payload},
};

use crate::keys::Keys;

/// Bytes of a nonce.
pub(crate) const NONCE_BYTES: usize = 24;

/// A payload as it is stored.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) owner: String,
    pub(crate) kind: &'static str,
    pub(crate) keep: Keep,
    /// The salted digest of the exact bytes, as hexadecimal digits.
    pub(crate) digest: String,
    pub(crate) nonce: [u8; NONCE_BYTES],
    pub(crate) ciphertext: Vec<u8>,
    /// Length of the exact bytes.
    pub(crate) bytes: usize,
}

/// What an encrypted payload is bound to; under any other it doesn't open.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bond<'a> {
    /// One owner's payload of one kind.
    Owned { owner: &'a str, kind: &'a str, digest: &'a str },
    /// A content that several may share.
    Shared { digest: &'a str },
}

impl Bond<'_> {
    fn bytes(&self) -> Vec<u8> {
        let fields = match *self {
            Self::Owned { owner, kind, digest } => ["owned", owner, kind, digest],
            Self::Shared { digest } => ["shared", "", "", digest],
        };
        let mut out = Vec::new();
        for field in fields {
            out.extend_from_slice(&(field.len() as u64).to_le_bytes());
            out.extend_from_slice(field.as_bytes());
        }
        out
    }
}

/// Encrypts a payload.
pub(crate) fn seal(payload: &Payload, keys: &Keys, entropy: &dyn Entropy) -> Sealed {
    let digest = keys.digest(&payload.bytes);
    let kind = payload.kind.as_str();
    let bond = match payload.keep {
        Keep::WithAction => Bond::Owned { owner: &payload.owner, kind, digest: &digest },
        Keep::UnderQuota => Bond::Shared { digest: &digest },
    };
    let mut nonce = [0; NONCE_BYTES];
    entropy.fill(&mut nonce);
    let message = Message { msg: &payload.bytes, aad: &bond.bytes() };
    let ciphertext = keys
        .cipher
        .encrypt(&XNonce::from(nonce), message)
        .expect("a payload is far shorter than the cipher's limit of 256 GiB");
    Sealed {
        owner: payload.owner.clone(),
        kind,
        keep: payload.keep,
        digest,
        nonce,
        ciphertext,
        bytes: payload.bytes.len(),
    }
}

/// Decrypts a payload; `None` if it isn't what was sealed under this bond.
pub(crate) fn open(bond: Bond<'_>, nonce: &[u8], ciphertext: &[u8], keys: &Keys) -> Option<Vec<u8>> {
    let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).ok()?;
    let message = Message { msg: ciphertext, aad: &bond.bytes() };
    keys.cipher.decrypt(&XNonce::from(nonce), message).ok()
}
