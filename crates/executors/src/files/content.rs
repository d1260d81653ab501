//! Reads a file's content, bounded, whatever its size claims to be.

use std::{
    fs::File,
    io::{self, Read as _},
};

use sha2::{Digest as _, Sha256};
use steadyhand_core::{approval::Operand, digest::Digest};

use super::{
    CONTENT_BYTES_MAX,
    place::{Found, Identity, Place},
    refusal::Refusal,
    stop::Stop,
};

/// How much is read or written between two looks at the stop flag.
pub(super) const CHUNK_BYTES: usize = 256 * 1024;

/// How much is hashed at once where the content isn't kept.
const HASHED_AT_ONCE_BYTES: usize = 64 * 1024;

/// The whole content of `found`.
pub(super) fn read(found: &Found, stop: &Stop) -> Result<Vec<u8>, Refusal> {
    let size = found.metadata.len();
    if size > CONTENT_BYTES_MAX {
        return Err(Refusal::TooLarge { bytes: size });
    }
    read_open(&found.open()?, size, stop)
}

/// The whole content of `file`, which had `size` bytes a moment ago and may be growing.
pub(super) fn read_open(mut file: &File, size: u64, stop: &Stop) -> Result<Vec<u8>, Refusal> {
    // One byte more than expected, so that the end is seen without a second buffer.
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or(0).min(CHUNK_BYTES * 40) + 1);
    loop {
        stop.check()?;
        let before = content.len();
        let room = CONTENT_BYTES_MAX + 1 - before as u64;
        let mut chunk = file.take(room.min(CHUNK_BYTES as u64));
        chunk.read_to_end(&mut content).map_err(Refusal::io("reading the file"))?;
        file = chunk.into_inner();
        if content.len() as u64 > CONTENT_BYTES_MAX {
            let bytes = file.metadata().map_or(0, |m| m.len()).max(content.len() as u64);
            return Err(Refusal::TooLarge { bytes });
        }
        if content.len() - before < CHUNK_BYTES {
            return Ok(content);
        }
    }
}

/// The digest and the size of `file`, which had `size` bytes a moment ago, without holding its content.
pub(super) fn digest_open(mut file: &File, size: u64, stop: &Stop) -> Result<(Digest, u64), Refusal> {
    // Small files need no large chunk; a size that lies still gets a useful one.
    let room = usize::try_from(size).unwrap_or(0).saturating_add(1);
    let mut chunk = vec![0; room.clamp(HASHED_AT_ONCE_BYTES / 16, HASHED_AT_ONCE_BYTES)];
    let (mut hasher, mut bytes) = (Sha256::new(), 0_u64);
    loop {
        stop.check()?;
        let read = match file.read(&mut chunk) {
            Ok(0) => return Ok((Digest::from_bytes(&hasher.finalize().into()), bytes)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Refusal::io("reading the file")(error)),
        };
        hasher.update(&chunk[..read]);
        bytes += read as u64;
        if bytes > CONTENT_BYTES_MAX {
            return Err(Refusal::TooLarge { bytes: file.metadata().map_or(0, |m| m.len()).max(bytes) });
        }
    }
}

/// Whether a look keeps the content that it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Content,
    DigestOnly,
}

/// A place as an approval is bound to it, with its content where that is kept and small enough.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) operand: Operand,
    pub(super) content: Option<Vec<u8>>,
}

/// Looks at `place`. Files over [`CONTENT_BYTES_MAX`] are known by identity and size alone.
pub(super) fn seal(place: &Place, keep: Keep, stop: &Stop) -> Result<Sealed, Refusal> {
    let sealed = |identity: Identity, digest, size, content| {
        let path = place.path().to_string_lossy().into_owned();
        let param = "path".to_owned();
        Sealed { operand: Operand { param, path, identity: identity.text(), digest, size }, content }
    };
    let found = match place {
        Place::Vacant(vacant) => return Ok(sealed(vacant.folder_identity, None, 0, None)),
        Place::There(found) => found,
    };
    let (identity, size) = (Identity::of(&found.metadata), found.metadata.len());
    let seen = match keep {
        _ if size > CONTENT_BYTES_MAX => Err(Refusal::TooLarge { bytes: size }),
        Keep::Content => read(found, stop).map(|c| (Digest::of(&c), c.len() as u64, Some(c))),
        Keep::DigestOnly => digest_open(&found.open()?, size, stop).map(|(d, bytes)| (d, bytes, None)),
    };
    match seen {
        Ok((digest, size, content)) => Ok(sealed(identity, Some(digest), size, content)),
        Err(Refusal::TooLarge { bytes }) => Ok(sealed(identity, None, bytes, None)),
        Err(refusal) => Err(refusal),
    }
}

/// What was sealed of the file: that there was none, its content, or no more than its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before<'a> {
    Nothing,
    Content(&'a Digest),
    Large,
}

impl<'a> Before<'a> {
    pub(super) fn of(operand: &'a Operand) -> Self {
        match &operand.digest {
            Some(digest) => Self::Content(digest),
            // An empty file has a digest.
            None if operand.size == 0 => Self::Nothing,
            None => Self::Large,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_size_that_lies_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let most = usize::try_from(CONTENT_BYTES_MAX).unwrap();
        for (bytes, claimed, fits) in [
            (0, 0, true),
            (0, 1 << 40, true),
            (1, 0, true),
            (CHUNK_BYTES - 1, 0, true),
            (CHUNK_BYTES, 0, true),
            (CHUNK_BYTES + 1, 5, true),
            (most, 0, true),
            (most + 1, 0, false),
            (most + 1, 1, false),
        ] {
            fs::write(&path, vec![b'x'; bytes]).unwrap();
            let digest = digest_open(&File::open(&path).unwrap(), claimed, &Stop::default());
            let read = read_open(&File::open(&path).unwrap(), claimed, &Stop::default());
            match (digest, &read) {
                (Ok(seen), Ok(content)) => assert_eq!(seen, (Digest::of(content), bytes as u64)),
                (Err(Refusal::TooLarge { bytes: said }), Err(_)) => assert!(said > CONTENT_BYTES_MAX),
                (other, _) => panic!("{bytes} as {claimed}: {other:?}"),
            }
            match read {
                Ok(content) => assert!(fits && content.len() == bytes, "{bytes} as {claimed}"),
                Err(Refusal::TooLarge { bytes: said }) => assert!(!fits && said == bytes as u64),
                Err(other) => panic!("{bytes} as {claimed}: {other}"),
            }
        }
    }

    #[test]
    fn a_file_without_a_size_is_read_to_its_end() {
        let status = read_open(&File::open("/proc/self/status").unwrap(), 0, &Stop::default()).unwrap();
        assert!(status.starts_with(b"Name:"));
    }

    #[test]
    fn a_file_without_an_end_is_read_up_to_the_bound() {
        let endless = read_open(&File::open("/dev/zero").unwrap(), 0, &Stop::default());
        assert!(matches!(endless, Err(Refusal::TooLarge { bytes }) if bytes == CONTENT_BYTES_MAX + 1));
        let endless = digest_open(&File::open("/dev/zero").unwrap(), 0, &Stop::default());
        assert!(matches!(endless, Err(Refusal::TooLarge { bytes }) if bytes > CONTENT_BYTES_MAX));
    }

    #[test]
    fn a_stopped_read_ends() {
        let stop = Stop::default();
        stop.stop();
        let ended = read_open(&File::open("/dev/zero").unwrap(), 0, &stop);
        assert!(matches!(ended, Err(Refusal::Stopped)));
        let ended = digest_open(&File::open("/dev/zero").unwrap(), 0, &stop);
        assert!(matches!(ended, Err(Refusal::Stopped)));
    }
}
