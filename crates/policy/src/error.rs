//! What is wrong with a policy text, where, and what to do about it.

use std::fmt;

/// A policy text that can't be used: the file, the place, the problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {problem}")]
pub struct PolicyError {
    /// The file's name, as it was given.
    pub file: String,
    /// The line; 1 is the first.
    pub line: usize,
    /// The column in characters; 1 is the first.
    pub column: usize,
    /// What is wrong there.
    pub problem: Box<Problem>,
}

/// What is wrong at a place of a policy text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text isn't TOML.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    /// No such key.
    #[error("unknown key `{key}`; {}", Hint(*.nearest, .known))]
    UnknownKey {
        /// The key that was given.
        key: String,
        /// The known key that was probably meant.
        nearest: Option<&'static str>,
        /// All keys that may stand there.
        known: &'static [&'static str],
    },
    /// The rule is about no capability of this build.
    #[error("rule `{rule}`: no capability is `{pattern}`{}", Meant(*.nearest))]
    UnknownCapability {
        /// The rule's name.
        rule: String,
        /// Its pattern.
        pattern: String,
        /// The capability that was probably meant.
        nearest: Option<&'static str>,
    },
    /// No capability that the rule is about takes the argument, so the rule can never match.
    #[error("rule `{rule}`: no capability of `{pattern}` takes an argument `{argument}`{}", Meant(*.nearest))]
    UnknownArgument {
        /// The rule's name.
        rule: String,
        /// Its pattern.
        pattern: String,
        /// The argument.
        argument: String,
        /// The argument that was probably meant.
        nearest: Option<&'static str>,
    },
    /// The value is none of the words that may stand there.
    #[error("unknown {key} `{word}`; {}", Hint(*.nearest, .known))]
    UnknownWord {
        /// The key whose value it is.
        key: &'static str,
        /// The word that was given.
        word: String,
        /// The known word that was probably meant.
        nearest: Option<&'static str>,
        /// All words that may stand there.
        known: &'static [&'static str],
    },
    /// A required key is absent.
    #[error("`{key}` is missing; add it to this table")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// The value's type doesn't fit.
    #[error("`{key}` must be {wanted}, not {found}")]
    WrongType {
        /// The key whose value it is.
        key: String,
        /// What fits.
        wanted: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// A text that must hold something is empty.
    #[error("`{key}` is empty; write a text, or leave the key out where it is optional")]
    Empty {
        /// The key whose value it is.
        key: String,
    },
    /// A text is longer than its bound.
    #[error("`{key}` is too long: {bytes} bytes, at most {max}")]
    TooLong {
        /// The key whose value it is.
        key: String,
        /// Its length in bytes.
        bytes: usize,
        /// The bound.
        max: usize,
    },
    /// There are more entries than the bound.
    #[error("`{key}` has too many entries: {count}, at most {max}")]
    TooMany {
        /// The key whose value it is.
        key: String,
        /// How many there are.
        count: usize,
        /// The bound.
        max: usize,
    },
    /// Two rules have one name.
    #[error("another rule is named `{name}` ({place}); give each its own name")]
    DuplicateName {
        /// The name.
        name: String,
        /// File and line of the other rule.
        place: String,
    },
    /// A rule has the name of a built-in one.
    #[error("`{name}` is a built-in rule; give yours another name, it goes first anyway")]
    BuiltinName {
        /// The name.
        name: String,
    },
    /// The regular expression can't be used.
    #[error("`{key}` is no usable regular expression: {message}")]
    BadRegex {
        /// The key whose value it is.
        key: String,
        /// What the expression's parser says.
        message: String,
    },
    /// A folder for `under` that can't be a prefix.
    #[error("`under` can't be `{path}`: a folder without `..`, such as `scratch` or `/srv/data`")]
    BadFolder {
        /// The value that was given.
        path: String,
    },
    /// A program for `shell.allow` that isn't a bare name.
    #[error("`{name}` is no program's name; write it without folder and arguments, such as `git`")]
    BadProgram {
        /// The value that was given.
        name: String,
    },
    /// The table stands in the policy file and in the configuration.
    #[error("`action_safety` stands in the policy file too; keep one of them")]
    TwoActionSafety,
}

/// The nearest known name, if there is one.
struct Meant(Option<&'static str>);

impl fmt::Display for Meant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |nearest| write!(f, "; did you mean `{nearest}`?"))
    }
}

/// The nearest known name, or all of them.
struct Hint<'a>(Option<&'a str>, &'a [&'static str]);

impl fmt::Display for Hint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, "did you mean `{nearest}`?"),
            None if self.1.is_empty() => f.write_str("there are none"),
            None => write!(f, "known are {}", self.1.join(", ")),
        }
    }
}
