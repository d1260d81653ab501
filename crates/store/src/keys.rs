//! The store's secrets: the payload key, the signing key of the heads, the salt of redacted digests.

use std::path::Path;

use chacha20poly1305::{Key, KeyInit as _, XChaCha20Poly1305};
use ed25519_dalek::SigningKey;
use sha2::{Digest as _, Sha256};
use steadyhand_core::{
    chance::{Entropy, hex},
    digest::Digest,
};

use crate::folder::{self, OpenError};

/// Bytes of each secret.
pub(crate) const SECRET_BYTES: usize = 32;

/// The key files, below the store's folder.
pub(crate) const PAYLOAD_KEY: &str = "payload.key";
pub(crate) const AUDIT_KEY: &str = "audit.key";
pub(crate) const SALT: &str = "salt";

/// What a start finds in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// No journal yet: missing keys are made.
    First,
    /// A journal that was written with keys: a missing one is an error.
    Again,
}

/// All secrets of one store.
pub(crate) struct Keys {
    pub(crate) cipher: XChaCha20Poly1305,
    pub(crate) signing: SigningKey,
    pub(crate) salt: [u8; SECRET_BYTES],
}

impl Keys {
    /// Reads the key files, making them at a first start.
    ///
    /// # Errors
    /// A key is missing, readable by others, of the wrong size, or can't be read or made.
    pub(crate) fn open(folder: &Path, start: Start, entropy: &dyn Entropy) -> Result<Self, OpenError> {
        let keys = folder.join("keys");
        if start == Start::First {
            folder::create(&keys)?;
            for name in [PAYLOAD_KEY, AUDIT_KEY, SALT] {
                if !keys.join(name).exists() {
                    let mut secret = [0; SECRET_BYTES];
                    entropy.fill(&mut secret);
                    folder::write_secret(&keys, name, &secret)?;
                }
            }
        }
        Self::read(folder)
    }

    /// Reads the key files.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub(crate) fn read(folder: &Path) -> Result<Self, OpenError> {
        let keys = folder.join("keys");
        let payload: [u8; SECRET_BYTES] = folder::read_secret(&keys.join(PAYLOAD_KEY))?;
        let seed: [u8; SECRET_BYTES] = folder::read_secret(&keys.join(AUDIT_KEY))?;
        let salt = folder::read_secret(&keys.join(SALT))?;
        let cipher = XChaCha20Poly1305::new(&Key::from(payload));
        Ok(Self { cipher, signing: SigningKey::from_bytes(&seed), salt })
    }

    /// The salted digest of exact bytes, as 64 hexadecimal digits.
    pub(crate) fn digest(&self, bytes: &[u8]) -> String {
        Digest::salted(&self.salt, bytes).as_str().to_owned()
    }

    /// The public half of the signing key, in hexadecimal.
    pub(crate) fn public(&self) -> String {
        hex(self.signing.verifying_key().as_bytes())
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = Sha256::digest(self.signing.verifying_key().as_bytes());
        write!(f, "Keys({}…, ***)", hex(&shown[..4]))
    }
}
