//! What actions bring back is shown, never obeyed: control characters of a file, a window title or a
//! program's output don't reach the terminal.

use std::borrow::Cow;

/// A text of many lines: line ends and tabs stay, all else that steers a terminal is written out.
pub(crate) fn text(input: &str) -> Cow<'_, str> {
    escape(input, |c| c == '\n' || c == '\t')
}

/// A text for one line or one cell of a table: line ends and tabs are written out too.
pub(crate) fn line(input: &str) -> Cow<'_, str> {
    escape(input, |_| false)
}

/// A text for one line that can be read only one way: as [`line`], and a backslash is doubled, so that a
/// written-out character can't be told from one only by luck.
pub(crate) fn exact(input: &str) -> String {
    line(&input.replace('\\', "\\\\")).into_owned()
}

/// JSON text for a terminal: what steers it is written as JSON escapes, so that it means the same. What
/// JSON itself lays out by, line ends and blanks, stays.
pub(crate) fn json(input: &str) -> String {
    let mut out = String::with_capacity(input.len());
    for c in input.chars() {
        if c == '\n' || !steers(c) {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    }
    out
}

/// At most `chars_max` characters of a text for one line, marked where it is cut.
pub(crate) fn short(input: &str, chars_max: usize) -> String {
    let shown = line(input);
    if shown.chars().count() <= chars_max {
        return shown.into_owned();
    }
    shown.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

fn escape(input: &str, stays: fn(char) -> bool) -> Cow<'_, str> {
    if !input.chars().any(|c| steers(c) && !stays(c)) {
        return Cow::Borrowed(input);
    }
    let mut out = String::with_capacity(input.len() + 16);
    for c in input.chars() {
        match c {
            c if !steers(c) || stays(c) => out.push(c),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x100 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    Cow::Owned(out)
}

/// Whether a character moves the cursor, changes the terminal's state, or hides or reorders its
/// neighbours: C0, C1, DEL, line and paragraph separators, zero-width and bidirectional controls, tags.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff
            | 0xfff9..=0xfffb | 0xe0000..=0xe007f)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn controls_are_written_out_and_the_rest_stays() {
        for (input, many, one) in [
            ("plain ü✓ 漢字", "plain ü✓ 漢字", "plain ü✓ 漢字"),
            ("a\nb\tc", "a\nb\tc", "a\\nb\\tc"),
            ("\x1b[2Jgone", "\\x1b[2Jgone", "\\x1b[2Jgone"),
            ("\x1b]0;title\x07", "\\x1b]0;title\\x07", "\\x1b]0;title\\x07"),
            ("safe\rEVIL", "safe\\rEVIL", "safe\\rEVIL"),
            ("\u{9b}31m", "\\x9b31m", "\\x9b31m"),
            ("rm\u{202e}txt", "rm\\u{202e}txt", "rm\\u{202e}txt"),
            ("zero\u{200b}width", "zero\\u{200b}width", "zero\\u{200b}width"),
            ("\0", "\\x00", "\\x00"),
        ] {
            assert_eq!(text(input), many);
            assert_eq!(line(input), one);
        }
    }

    #[test]
    fn an_exact_line_reads_one_way_only() {
        for (input, shown) in
            [("a\tb", "a\\tb"), ("a\\tb", "a\\\\tb"), ("\x1b", "\\x1b"), ("\\x1b", "\\\\x1b")]
        {
            assert_eq!(exact(input), shown);
        }
    }

    #[test]
    fn long_texts_are_cut_with_a_mark() {
        assert_eq!(short("abc", 3), "abc");
        assert_eq!(short("abcd", 3), "ab…");
        assert_eq!(short("äöüß", 3), "äö…");
        assert_eq!(short("a\nb", 3), "a\\…");
    }

    proptest! {
        #[test]
        fn json_for_a_terminal_means_the_same(input in any::<String>(), steering in "[\u{7f}-\u{9f}\u{200b}-\u{202e}\u{e0001}]") {
            let value = serde_json::json!({ "k": [input, steering] });
            let shown = json(&serde_json::to_string_pretty(&value).unwrap());
            prop_assert!(!shown.chars().any(|c| steers(c) && c != '\n'));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }

        #[test]
        fn nothing_that_steers_a_terminal_gets_through(input in any::<String>()) {
            prop_assert!(!line(&input).chars().any(steers));
            prop_assert!(!text(&input).chars().any(|c| steers(c) && c != '\n' && c != '\t'));
        }
    }
}
