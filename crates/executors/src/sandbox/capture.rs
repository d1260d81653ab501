//! Keeps the head of a program's output and counts the rest, so that the program never waits for a
//! reader and memory stays bounded.

use tokio::io::{AsyncRead, AsyncReadExt};

/// Most characters kept of one stream (contract 5.3).
pub const OUTPUT_CHARS_MAX: usize = 10_000;

/// Enough bytes for [`OUTPUT_CHARS_MAX`] characters: UTF-8 has at most four each, and a broken sequence
/// becomes at least one character per four bytes.
const KEPT_BYTES_MAX: usize = OUTPUT_CHARS_MAX * 4;

/// Bytes taken from a pipe at once: a pipe's whole content on Linux.
const CHUNK_BYTES: usize = 64 * 1024;

/// One stream's output.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    kept: Vec<u8>,
    total: u64,
}

impl Capture {
    /// Reads until the other side closes. May be dropped between reads and called again.
    pub(crate) async fn drain(&mut self, mut from: impl AsyncRead + Unpin) {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(read @ 1..) = from.read(&mut chunk).await {
            self.take(&chunk[..read]);
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let room = KEPT_BYTES_MAX - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.total += bytes.len() as u64;
    }

    /// What is shown of it.
    pub(crate) fn shown(&self) -> Shown {
        let text = String::from_utf8_lossy(&self.kept);
        let cut = text.char_indices().nth(OUTPUT_CHARS_MAX).map(|(at, _)| at);
        let truncated = cut.is_some() || self.total > self.kept.len() as u64;
        let text = text[..cut.unwrap_or(text.len())].to_owned();
        Shown { text, truncated, bytes: self.total }
    }
}

/// The head of a stream, and how much there was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// At most [`OUTPUT_CHARS_MAX`] characters; what isn't UTF-8 is replaced by U+FFFD.
    pub text: String,
    /// Whether there was more.
    pub truncated: bool,
    /// How many bytes there were in all.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> Shown {
        let mut capture = Capture::default();
        bytes.chunks(7_001).for_each(|chunk| capture.take(chunk));
        assert!(capture.kept.len() <= KEPT_BYTES_MAX);
        capture.shown()
    }

    #[test]
    fn the_head_is_kept_to_the_character() {
        let max = OUTPUT_CHARS_MAX;
        for (character, count, truncated) in [
            ("a", 0, false),
            ("a", max, false),
            ("a", max + 1, true),
            ("ü", max, false),
            ("ü", max + 1, true),
            ("😀", max, false),
            ("😀", max + 1, true),
            ("a", 10 * max, true),
        ] {
            let text = character.repeat(count);
            let expected = character.repeat(count.min(max));
            let bytes = text.len() as u64;
            assert_eq!(
                shown(text.as_bytes()),
                Shown { text: expected, truncated, bytes },
                "{character} {count}"
            );
        }
    }

    #[test]
    fn what_is_not_text_is_replaced() {
        assert_eq!(shown(b"a\xffb\xe2\x82").text, "a\u{fffd}b\u{fffd}");
        let broken = shown(&vec![0xf0; KEPT_BYTES_MAX]);
        assert_eq!(broken.text.chars().count(), OUTPUT_CHARS_MAX);
        assert!(broken.truncated);
    }
}
