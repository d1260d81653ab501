//! SHA-256 digests of bytes and of JSON in its canonical form (keys sorted, no white space).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::chance::hex;

/// A SHA-256 digest, written as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }

    /// The digest of `bytes` after a secret `salt`, so that short secrets can't be guessed from it.
    #[must_use]
    pub fn salted(salt: &[u8], bytes: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update((salt.len() as u64).to_le_bytes());
        hasher.update(salt);
        hasher.update(bytes);
        Self(hex(&hasher.finalize()))
    }

    /// The digest of a JSON value: maps are kept sorted, so equal values have equal digests.
    #[must_use]
    pub fn of_json(value: &Value) -> Self {
        Self::of(value.to_string().as_bytes())
    }

    /// Takes a digest computed elsewhere, as 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(hex(bytes))
    }

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}
