//! A text diff for people, bounded.

use std::time::Duration;

use similar::TextDiff;

/// Texts longer than this, in bytes, aren't compared.
const COMPARED_BYTES_MAX: usize = 512 * 1024;

/// The longest diff, in bytes.
pub(super) const DIFF_BYTES_MAX: usize = 64 * 1024;

/// After this time the rest is shown as replaced as a whole.
const COMPARING_MAX: Duration = Duration::from_millis(200);

/// The lines that lead from `old` to `new`, each with its name; `None` where one isn't text or is too long.
pub(super) fn unified(old: (&str, &[u8]), new: (&str, &[u8])) -> Option<String> {
    if old.1.len().max(new.1.len()) > COMPARED_BYTES_MAX {
        return None;
    }
    let (old_text, new_text) = (str::from_utf8(old.1).ok()?, str::from_utf8(new.1).ok()?);
    let diff = TextDiff::configure().timeout(COMPARING_MAX).diff_lines(old_text, new_text);
    let text = diff.unified_diff().context_radius(3).header(old.0, new.0).to_string();
    if text.len() <= DIFF_BYTES_MAX {
        return Some(text);
    }
    const CUT: &str = "\n(the diff goes on)\n";
    let mut end = DIFF_BYTES_MAX - CUT.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let end = text[..end].rfind('\n').unwrap_or(end);
    Some(text[..end].to_owned() + CUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_line_by_line() {
        let diff = unified(("a", b"one\ntwo\n"), ("b", b"one\nthree\n")).unwrap();
        assert_eq!(diff, "--- a\n+++ b\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n");
        assert_eq!(unified(("a", b"same"), ("b", b"same")).as_deref(), Some(""));
    }

    #[test]
    fn what_is_no_text_or_too_long_is_not_compared() {
        assert_eq!(unified(("a", &[0xff]), ("b", b"")), None);
        assert_eq!(unified(("a", b""), ("b", &[0xff])), None);
        assert_eq!(unified(("a", b""), ("b", &vec![b'x'; COMPARED_BYTES_MAX + 1])), None);
    }

    #[test]
    fn a_long_diff_is_cut_at_a_line() {
        let long = "ünï\n".repeat(40_000);
        let diff = unified(("a", b""), ("b", long.as_bytes())).unwrap();
        assert!(diff.len() <= DIFF_BYTES_MAX && diff.len() > DIFF_BYTES_MAX - 64);
        assert!(diff.ends_with("+ünï\n(the diff goes on)\n"));
        let one_line = "ü".repeat(100_000);
        let diff = unified(("a", b""), ("b", one_line.as_bytes())).unwrap();
        assert!(diff.len() <= DIFF_BYTES_MAX && diff.ends_with("(the diff goes on)\n"));
    }
}
