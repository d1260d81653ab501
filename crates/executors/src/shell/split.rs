//! Splits a command into words, as a POSIX shell would if it had nothing but quotes.
//!
//! No shell runs, so nothing here ever expands. What a shell would have expanded, joined or redirected
//! is refused by name and position, for whoever wrote it meant something that won't happen. Rules of
//! quoting: POSIX.1-2024, Shell Command Language, 2.2.

use std::fmt;

/// Longest command, in bytes.
pub const COMMAND_BYTES_MAX: usize = 32 * 1024;

/// Most words of one command, the program included.
pub const WORDS_MAX: usize = 256;

/// Refused wherever they stand outside quotes.
const METACHARACTERS: &[char] = &[';', '&', '|', '<', '>', '(', ')', '$', '`', '*', '?', '[', ']', '{', '}'];

/// Refused outside quotes where a word begins; inside a word they are plain.
const METACHARACTERS_AT_START: &[char] = &['~', '#', '!'];

/// Refused inside double quotes, where a shell would expand them.
const METACHARACTERS_QUOTED: &[char] = &['$', '`', '!'];

/// Why a command isn't split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// No word at all.
    #[error("the command is empty")]
    Empty,
    /// More than [`COMMAND_BYTES_MAX`].
    #[error("the command has {0} bytes (max {COMMAND_BYTES_MAX})")]
    TooLong(usize),
    /// More than [`WORDS_MAX`].
    #[error("the command has more than {WORDS_MAX} words")]
    TooManyWords,
    /// A quote that nothing closes.
    #[error("the {quote} at position {position} is never closed")]
    Unterminated {
        /// Which kind of quote.
        quote: Quote,
        /// Where it opens, in characters from 1.
        position: usize,
    },
    /// A backslash with nothing after it.
    #[error("the backslash at position {0} escapes nothing")]
    TrailingBackslash(usize),
    /// A character that a shell would act on.
    #[error(
        "'{character}' at position {position} has no meaning here: no shell runs; quote it with single quotes \
         to pass it on as it is"
    )]
    Metacharacter {
        /// The character.
        character: char,
        /// Where it stands, in characters from 1.
        position: usize,
    },
    /// A character that can't be seen, or that looks like another.
    #[error("the character U+{code:04X} at position {position} isn't allowed in a command")]
    Invisible {
        /// Its code point.
        code: u32,
        /// Where it stands, in characters from 1.
        position: usize,
    },
}

impl SplitError {
    /// Whether the command asks for something that is refused, rather than being malformed.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Metacharacter { .. } | Self::Invisible { .. })
    }
}

/// A kind of quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    /// `'`: everything up to the next one is literal.
    Single,
    /// `"`: a backslash escapes `"`, `\`, `$` and `` ` ``.
    Double,
}

impl fmt::Display for Quote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "single quote",
            Self::Double => "double quote",
        })
    }
}

/// Splits `command` into the program's name and its arguments.
///
/// # Errors
/// See [`SplitError`]; the first problem from the left is named.
pub fn split(command: &str) -> Result<Vec<String>, SplitError> {
    if command.len() > COMMAND_BYTES_MAX {
        return Err(SplitError::TooLong(command.len()));
    }
    let mut splitter = Splitter { rest: command.chars(), position: 0, words: Vec::new(), word: None };
    while let Some(character) = splitter.next() {
        splitter.plain(character)?;
    }
    splitter.end_word()?;
    if splitter.words.is_empty() { Err(SplitError::Empty) } else { Ok(splitter.words) }
}

struct Splitter<'a> {
    rest: std::str::Chars<'a>,
    position: usize,
    words: Vec<String>,
    /// The word begun, which may be empty: `''` is a word.
    word: Option<String>,
}

impl Splitter<'_> {
    fn next(&mut self) -> Option<char> {
        let character = self.rest.next()?;
        self.position += 1;
        Some(character)
    }

    fn push(&mut self, character: char) {
        self.word.get_or_insert_default().push(character);
    }

    fn end_word(&mut self) -> Result<(), SplitError> {
        if let Some(word) = self.word.take() {
            if self.words.len() == WORDS_MAX {
                return Err(SplitError::TooManyWords);
            }
            self.words.push(word);
        }
        Ok(())
    }

    fn plain(&mut self, character: char) -> Result<(), SplitError> {
        match character {
            ' ' | '\t' => self.end_word(),
            '\'' => self.single_quoted(),
            '"' => self.double_quoted(),
            '\\' => self.escaped(),
            _ if METACHARACTERS.contains(&character) => Err(self.metacharacter(character)),
            _ if self.word.is_none() && METACHARACTERS_AT_START.contains(&character) => {
                Err(self.metacharacter(character))
            }
            _ => self.visible(character),
        }
    }

    fn escaped(&mut self) -> Result<(), SplitError> {
        let at = self.position;
        match self.next() {
            Some(character) => self.visible(character),
            None => Err(SplitError::TrailingBackslash(at)),
        }
    }

    fn single_quoted(&mut self) -> Result<(), SplitError> {
        let position = self.position;
        self.word.get_or_insert_default();
        loop {
            match self.next() {
                None => return Err(SplitError::Unterminated { quote: Quote::Single, position }),
                Some('\'') => return Ok(()),
                Some('\0') => return Err(SplitError::Invisible { code: 0, position: self.position }),
                Some(character) => self.push(character),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<(), SplitError> {
        let position = self.position;
        self.word.get_or_insert_default();
        loop {
            match self.next() {
                None => return Err(SplitError::Unterminated { quote: Quote::Double, position }),
                Some('"') => return Ok(()),
                Some('\\') if self.rest.as_str().starts_with(['"', '\\', '$', '`']) => {
                    let escaped = self.next().expect("the next character was just seen");
                    self.push(escaped);
                }
                Some(character) if METACHARACTERS_QUOTED.contains(&character) => {
                    return Err(self.metacharacter(character));
                }
                Some(character) => self.visible(character)?,
            }
        }
    }

    fn visible(&mut self, character: char) -> Result<(), SplitError> {
        if is_invisible(character) {
            return Err(SplitError::Invisible { code: character.into(), position: self.position });
        }
        self.push(character);
        Ok(())
    }

    fn metacharacter(&self, character: char) -> SplitError {
        SplitError::Metacharacter { character, position: self.position }
    }
}

/// Control characters, white space other than blank and tab, and the format characters that reorder or
/// hide text: a person who approves a command must see what it is.
fn is_invisible(character: char) -> bool {
    match character {
        ' ' | '\t' => false,
        '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => character.is_control() || character.is_whitespace(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn honest_commands_give_these_words() {
        let table: &[(&str, &[&str])] = &[
            ("ls", &["ls"]),
            ("  ls\t-l  ", &["ls", "-l"]),
            ("ls -la /tmp", &["ls", "-la", "/tmp"]),
            ("cat 'a b'", &["cat", "a b"]),
            ("cat \"a b\"", &["cat", "a b"]),
            ("cat a\\ b", &["cat", "a b"]),
            ("cat ''", &["cat", ""]),
            ("cat \"\"", &["cat", ""]),
            ("cat a''b", &["cat", "ab"]),
            ("cat 'a'\"b\"c", &["cat", "abc"]),
            ("cat '$HOME'", &["cat", "$HOME"]),
            ("cat '`id`'", &["cat", "`id`"]),
            ("cat \"\\$HOME\"", &["cat", "$HOME"]),
            ("cat \"\\`id\\`\"", &["cat", "`id`"]),
            ("cat \"a\\\\b\"", &["cat", "a\\b"]),
            ("cat \"a\\\"b\"", &["cat", "a\"b"]),
            ("cat \"a\\nb\"", &["cat", "a\\nb"]),
            ("cat \\;", &["cat", ";"]),
            ("cat \\*\\?", &["cat", "*?"]),
            ("cat \\\\", &["cat", "\\"]),
            ("cat \\~", &["cat", "~"]),
            ("cat a~ b#c d!", &["cat", "a~", "b#c", "d!"]),
            ("date '+%Y-%m-%d %H:%M'", &["date", "+%Y-%m-%d %H:%M"]),
            ("date +%s", &["date", "+%s"]),
            ("ps --sort=-pcpu", &["ps", "--sort=-pcpu"]),
            ("head -n 5 a=b,c@d:e^f%g+h", &["head", "-n", "5", "a=b,c@d:e^f%g+h"]),
            ("cat 'line\nbreak'", &["cat", "line\nbreak"]),
            ("cat ';|&<>()$`*?[]{}!#~'", &["cat", ";|&<>()$`*?[]{}!#~"]),
            ("cat \";|&<>()*?[]{}#~'\"", &["cat", ";|&<>()*?[]{}#~'"]),
            ("cat ünïcödé 日本", &["cat", "ünïcödé", "日本"]),
            ("cat '\u{202e}'", &["cat", "\u{202e}"]),
        ];
        for (command, words) in table {
            assert_eq!(split(command).unwrap(), *words, "{command:?}");
        }
    }

    #[test]
    fn what_a_shell_would_act_on_is_refused() {
        let table: &[(&str, char, usize)] = &[
            ("ls; id", ';', 3),
            ("ls;id", ';', 3),
            ("Get-ChildItem ; Remove-Item x", ';', 15),
            ("ls & id", '&', 4),
            ("ls && id", '&', 4),
            ("ls | id", '|', 4),
            ("ls || id", '|', 4),
            ("ls > /tmp/x", '>', 4),
            ("ls 2>&1", '>', 5),
            ("cat < x", '<', 5),
            ("cat <<EOF", '<', 5),
            ("cat <(id)", '<', 5),
            ("(ls)", '(', 1),
            ("ls )", ')', 4),
            ("ls $HOME", '$', 4),
            ("ls $(id)", '$', 4),
            ("ls ${HOME}", '$', 4),
            ("ls $'a'", '$', 4),
            ("ls a$b", '$', 5),
            ("ls `id`", '`', 4),
            ("ls *", '*', 4),
            ("ls a*b", '*', 5),
            ("ls ?", '?', 4),
            ("ls [ab]", '[', 4),
            ("ls ]", ']', 4),
            ("ls {a,b}", '{', 4),
            ("ls a}", '}', 5),
            ("ls ~", '~', 4),
            ("ls ~root/x", '~', 4),
            ("ls # note", '#', 4),
            ("! ls", '!', 1),
            ("ls !!", '!', 4),
            ("ls \"$HOME\"", '$', 5),
            ("ls \"$(id)\"", '$', 5),
            ("ls \"`id`\"", '`', 5),
            ("ls \"a!b\"", '!', 6),
            ("ls \"a\\!b\"", '!', 7),
            ("ls 'a'$b", '$', 7),
            ("ls \"a\";id", ';', 7),
            ("ls \\\\;id", ';', 6),
        ];
        for &(command, character, position) in table {
            let refusal = SplitError::Metacharacter { character, position };
            assert!(refusal.is_refusal() && refusal.to_string().contains("no shell runs"));
            assert_eq!(split(command), Err(refusal), "{command:?}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_refused() {
        let table: &[(&str, u32, usize)] = &[
            ("ls\nid", 0x0a, 3),
            ("ls\rid", 0x0d, 3),
            ("ls \0", 0, 4),
            ("ls '\0'", 0, 5),
            ("ls \"\0\"", 0, 5),
            ("ls \\\n-l", 0x0a, 5),
            ("ls \"a\nb\"", 0x0a, 6),
            ("ls \u{1b}[31m", 0x1b, 4),
            ("ls \u{7f}", 0x7f, 4),
            ("ls \u{85}", 0x85, 4),
            ("ls\u{a0}-l", 0xa0, 3),
            ("ls \u{2028}", 0x2028, 4),
            ("ls \u{202e}txt", 0x202e, 4),
            ("ls \u{2066}", 0x2066, 4),
            ("l\u{200b}s", 0x200b, 2),
            ("ls \u{feff}", 0xfeff, 4),
            ("ls \u{e0041}", 0xe0041, 4),
            ("ls \u{3000}x", 0x3000, 4),
            ("ls \u{b}", 0xb, 4),
            ("ls \u{8}", 8, 4),
        ];
        for &(command, code, position) in table {
            assert_eq!(split(command), Err(SplitError::Invisible { code, position }), "{command:?}");
        }
    }

    #[test]
    fn malformed_commands_are_errors() {
        use Quote::{Double, Single};
        let open = |quote, position| SplitError::Unterminated { quote, position };
        for (command, error) in [
            ("", SplitError::Empty),
            (" \t ", SplitError::Empty),
            ("ls 'a", open(Single, 4)),
            ("ls \"a", open(Double, 4)),
            ("ls \"a'b", open(Double, 4)),
            ("ls 'a\"b", open(Single, 4)),
            ("ls 'it'\\''s", open(Single, 10)),
            ("ls \"a\\\"", open(Double, 4)),
            ("ls a\\", SplitError::TrailingBackslash(5)),
        ] {
            assert_eq!(split(command), Err(error.clone()), "{command:?}");
            assert!(!error.is_refusal());
        }
    }

    #[test]
    fn length_and_number_of_words_are_bounded() {
        let full = format!("ls {}", "x".repeat(COMMAND_BYTES_MAX - 3));
        assert_eq!(split(&full).map(|words| words.len()), Ok(2));
        assert_eq!(split(&format!("{full}y")), Err(SplitError::TooLong(COMMAND_BYTES_MAX + 1)));
        assert_eq!(split(&"a ".repeat(WORDS_MAX)).map(|words| words.len()), Ok(WORDS_MAX));
        assert_eq!(split(&"a ".repeat(WORDS_MAX + 1)), Err(SplitError::TooManyWords));
    }

    fn quote(word: &str) -> String {
        format!("'{}'", word.replace('\'', "'\\''"))
    }

    proptest! {
        #[test]
        fn any_text_splits_or_is_refused(command in any::<String>()) {
            if let Ok(words) = split(&command) {
                prop_assert!(!words.is_empty() && words.len() <= WORDS_MAX);
                prop_assert!(words.iter().map(String::len).sum::<usize>() <= command.len());
            }
        }

        #[test]
        fn single_quoted_words_come_back_as_they_were(words in prop::collection::vec("[^\0]{0,12}", 1..20)) {
            let command = words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(split(&command), Ok(words));
        }

        #[test]
        fn words_without_quotes_hold_no_metacharacter(command in "[a-z;&|<>()$`*?{} ~#!\\[\\]]{1,40}") {
            if let Ok(words) = split(&command) {
                prop_assert!(words.iter().all(|word| !word.contains(METACHARACTERS)));
            }
        }
    }
}
