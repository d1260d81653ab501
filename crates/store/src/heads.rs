//! Signed heads: who holds one can tell whether the journal was cut short or rewritten after it.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use serde::{Deserialize, Serialize};
use steadyhand_core::{chance::hex, time::Timestamp};

use crate::{
    chain::Hash,
    folder::{self, HEADS},
    keys::Keys,
};

/// A line of the heads file is far shorter; a longer one isn't ours.
const LINE_BYTES_MAX: u64 = 4_096;

/// What a head says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The chain reached this record.
    Head,
    /// Everything up to this record was dropped by retention.
    Cut,
}

/// A signed place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) stream_id: String,
    pub(crate) seq: u64,
    /// The record's hash, in hexadecimal.
    pub(crate) hash: String,
    pub(crate) at: Timestamp,
    /// The key that signed, in hexadecimal.
    pub(crate) public_key: String,
    /// Its signature over all of the above, in hexadecimal.
    pub(crate) signature: String,
}

impl Head {
    /// Signs that record `seq` of `stream_id` has `hash`.
    pub(crate) fn sign(
        keys: &Keys,
        kind: Kind,
        stream_id: &str,
        seq: u64,
        hash: &Hash,
        at: Timestamp,
    ) -> Self {
        let mut head = Self {
            kind,
            stream_id: stream_id.to_owned(),
            seq,
            hash: hex(hash),
            at,
            public_key: keys.public(),
            signature: String::new(),
        };
        head.signature = hex(&keys.signing.sign(&head.message()).to_bytes());
        head
    }

    /// Whether `key` signed this.
    pub(crate) fn signed_by(&self, key: &VerifyingKey) -> bool {
        let signature = from_hex::<64>(&self.signature).map(|bytes| Signature::from_bytes(&bytes));
        self.public_key == hex(key.as_bytes())
            && signature.is_some_and(|s| key.verify_strict(&self.message(), &s).is_ok())
    }

    /// The hash, unless it is no hash.
    pub(crate) fn hash(&self) -> Option<Hash> {
        from_hex(&self.hash)
    }

    /// What the signature covers, each field preceded by its length.
    fn message(&self) -> Vec<u8> {
        let kind: &[u8] = match self.kind {
            Kind::Head => b"head",
            Kind::Cut => b"cut",
        };
        let seq = self.seq.to_le_bytes();
        let at = self.at.0.to_le_bytes();
        let fields: [&[u8]; 7] = [
            b"steadyhand head 1",
            kind,
            self.stream_id.as_bytes(),
            &seq,
            self.hash.as_bytes(),
            &at,
            self.public_key.as_bytes(),
        ];
        let mut out = Vec::new();
        for field in fields {
            out.extend_from_slice(&(field.len() as u64).to_le_bytes());
            out.extend_from_slice(field);
        }
        out
    }

    /// The head as one line of JSON, without its end.
    pub(crate) fn line(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers become JSON")
    }
}

/// `N` bytes from exactly `2 N` lower-case hexadecimal digits.
pub(crate) fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |d: u8| match d {
        b'0'..=b'9' => Some(d - b'0'),
        b'a'..=b'f' => Some(d - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

/// The heads file, open for appending by the one writer.
#[derive(Debug)]
pub(crate) struct HeadsFile {
    folder: PathBuf,
    file: File,
    bytes: u64,
}

/// A heads file just opened.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: HeadsFile,
    /// Its last line, if that is a head.
    pub(crate) newest: Option<Head>,
    /// Bytes of a torn last line that were taken off.
    pub(crate) torn_bytes: u64,
}

impl HeadsFile {
    /// Opens or makes the file. A last line without its end was torn by a crash and is taken off.
    pub(crate) fn open(folder: &Path) -> io::Result<Opened> {
        let path = folder.join(HEADS);
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).mode(0o600).open(&path)?;
        let len = file.metadata()?.len();
        let begin = len.saturating_sub(2 * LINE_BYTES_MAX);
        file.seek(SeekFrom::Start(begin))?;
        let mut tail = Vec::new();
        (&mut file).take(2 * LINE_BYTES_MAX).read_to_end(&mut tail)?;
        let whole = tail.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1);
        let torn_bytes = (tail.len() - whole) as u64;
        if torn_bytes > 0 {
            file.set_len(len - torn_bytes)?;
            file.sync_all()?;
        }
        let lines = tail[..whole].split(|b| *b == b'\n').rev();
        let newest = lines.filter(|l| !l.is_empty()).find_map(|l| serde_json::from_slice(l).ok());
        let file = Self { folder: folder.to_owned(), file, bytes: len - torn_bytes };
        Ok(Opened { file, newest, torn_bytes })
    }

    /// Appends a head, durably; what a failed attempt left is taken off again.
    pub(crate) fn append(&mut self, head: &Head) -> io::Result<()> {
        let mut line = head.line();
        line.push('\n');
        let written = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.bytes += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                // A torn line is also repaired at the next start.
                let _ = self.file.set_len(self.bytes);
                Err(error)
            }
        }
    }

    /// Drops the heads below `cut`, which say nothing about what is left, and notes the cut.
    pub(crate) fn compact(&mut self, cut: &Head) -> io::Result<()> {
        let mut kept = cut.line();
        kept.push('\n');
        for line in lines(&self.folder)? {
            let line = line?;
            let below = serde_json::from_str::<Head>(&line).is_ok_and(|h| h.seq < cut.seq);
            if !below {
                kept.push_str(&line);
                kept.push('\n');
            }
        }
        folder::replace(&self.folder, HEADS, kept.as_bytes())?;
        self.file = OpenOptions::new().read(true).append(true).open(self.folder.join(HEADS))?;
        self.bytes = kept.len() as u64;
        Ok(())
    }
}

/// The lines of the heads file; none if there is no file. A line of more than [`LINE_BYTES_MAX`] is cut,
/// and what is no text is replaced: neither is a head then. A last line without its end is left out: it's
/// torn, or about to be written.
pub(crate) fn lines(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<String>>> {
    let mut reader = match File::open(folder.join(HEADS)) {
        Ok(file) => Some(BufReader::new(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    Ok(std::iter::from_fn(move || {
        let source = reader.as_mut()?;
        let mut line = Vec::new();
        match source.take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(bytes) => {
                let whole = line.pop_if(|end| *end == b'\n').is_some();
                let goes_on = whole || bytes as u64 == LINE_BYTES_MAX;
                goes_on.then(|| Ok(String::from_utf8_lossy(&line).into_owned()))
            }
            Err(e) => {
                reader = None;
                Some(Err(e))
            }
        }
    }))
}
