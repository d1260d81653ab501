//! The chain: each record's hash covers the record and the hash before it.

use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
pub(crate) type Hash = [u8; 32];

/// What the first record of a stream follows.
pub(crate) const GENESIS: Hash = [0; 32];

/// Everything that a record's hash covers: each of its columns but the hash itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link<'a> {
    /// The hash of the record before.
    pub(crate) prev: &'a [u8],
    /// The stream it belongs to.
    pub(crate) stream_id: &'a str,
    /// Its place in the stream; 1 is the first.
    pub(crate) seq: u64,
    /// When it was committed, in microseconds.
    pub(crate) at: i64,
    /// The action it belongs to.
    pub(crate) action_id: Option<&'a str>,
    /// Its content.
    pub(crate) body: &'a [u8],
}

impl Link<'_> {
    /// The record's hash. Each field is preceded by its length, so no two records share an encoding.
    pub(crate) fn hash(&self) -> Hash {
        let mut hasher = Sha256::new();
        let mut field = |bytes: &[u8]| {
            hasher.update((bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        field(b"steadyhand record 1");
        field(self.prev);
        field(self.stream_id.as_bytes());
        field(&self.seq.to_le_bytes());
        field(&self.at.to_le_bytes());
        match self.action_id {
            Some(id) => {
                field(&[1]);
                field(id.as_bytes());
            }
            None => field(&[0]),
        }
        field(self.body);
        hasher.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link<'_> =
        Link { prev: &GENESIS, stream_id: "s", seq: 1, at: 2, action_id: Some("a"), body: b"body" };

    #[test]
    fn every_field_changes_the_hash() {
        let others = [
            Link { prev: &[1; 32], ..LINK },
            Link { stream_id: "t", ..LINK },
            Link { seq: 2, ..LINK },
            Link { at: 3, ..LINK },
            Link { action_id: None, ..LINK },
            Link { action_id: Some(""), ..LINK },
            Link { action_id: Some("b"), ..LINK },
            Link { body: b"bodx", ..LINK },
            Link { action_id: Some("ab"), body: b"ody", ..LINK },
        ];
        let mut hashes: Vec<_> = others.iter().map(Link::hash).chain([LINK.hash()]).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), others.len() + 1);
    }
}
