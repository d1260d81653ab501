//! Conditions on one argument.

use std::borrow::Cow;

use regex::Regex;
use serde_json::{Value, json};

/// What an argument must be for a rule to match.
#[derive(Debug, Clone)]
pub(crate) enum ArgPattern {
    /// Exactly this text, whole number or truth value.
    Exact(Value),
    /// An expression that is searched in the argument's text, or a glob over all of it.
    Text {
        /// The condition's word: `regex` or `glob`.
        word: &'static str,
        /// The pattern as it was written.
        source: String,
        /// The pattern as it is matched.
        regex: Regex,
    },
    /// A path in this folder, or the folder itself.
    Under(Folder),
}

impl ArgPattern {
    /// Whether `value` is so. Values that aren't text are searched in their JSON form; a path is a text.
    pub(crate) fn matches(&self, value: &Value) -> bool {
        match self {
            Self::Exact(wanted) => wanted == value,
            Self::Text { regex, .. } => regex.is_match(&text_of(value)),
            Self::Under(folder) => value.as_str().is_some_and(|path| folder.holds(path)),
        }
    }

    /// The condition as data, for listings and for the policy's digest.
    pub(crate) fn canonical(&self) -> Value {
        match self {
            Self::Exact(value) => value.clone(),
            Self::Text { word, source, .. } => json!({ *word: source }),
            Self::Under(folder) => json!({ "under": folder.source }),
        }
    }
}

fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// A folder to compare paths with, by their words alone: nothing is looked up and no link is followed.
/// A relative folder holds relative paths only, an absolute one absolute paths only.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    source: String,
    absolute: bool,
    parts: Vec<String>,
}

impl Folder {
    /// Takes a folder; `None` if it is empty or has a `..` in it.
    pub(crate) fn new(source: &str) -> Option<Self> {
        let parts: Vec<String> = components(source).map(str::to_owned).collect();
        let usable = !source.is_empty() && !parts.iter().any(|part| part == "..");
        usable.then(|| Self { source: source.to_owned(), absolute: source.starts_with('/'), parts })
    }

    /// Whether `path` is the folder or lies in it. A path with a `..` anywhere lies nowhere.
    fn holds(&self, path: &str) -> bool {
        if path.is_empty() || path.starts_with('/') != self.absolute {
            return false;
        }
        let mut wanted = self.parts.iter();
        let mut missing = wanted.next();
        for part in components(path) {
            if part == ".." {
                return false;
            }
            match missing {
                Some(name) if name == part => missing = wanted.next(),
                Some(_) => return false,
                None => {}
            }
        }
        missing.is_none()
    }
}

/// The parts of a path that name something: without `.` and without the nothing between two slashes.
fn components(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_hold_by_whole_components() {
        for (folder, path, holds) in [
            ("scratch", "scratch/a.txt", true),
            ("scratch", "scratch", true),
            ("scratch", "./scratch//b/./c", true),
            ("scratch/", "scratch/a", true),
            ("./scratch", "scratch/a", true),
            ("scratch", "scratchy/a", false),
            ("scratch", "a/scratch/b", false),
            ("scratch", "/scratch/a", false),
            ("scratch", "scratch/../a", false),
            ("scratch", "scratch/a/..", false),
            ("scratch", "../scratch/a", false),
            ("scratch", "scratch\\..\\a", false),
            ("scratch", "Scratch/a", false),
            ("scratch", "", false),
            ("scratch", ".", false),
            ("/srv/data", "/srv/data/a", true),
            ("/srv/data", "//srv//data", true),
            ("/srv/data", "/srv/database", false),
            ("/srv/data", "/srv", false),
            ("/srv/data", "srv/data/a", false),
            (".", "anything/below", true),
            (".", "/etc/passwd", false),
            (".", "..", false),
            ("/", "/etc/passwd", true),
            ("/", "etc", false),
        ] {
            assert_eq!(Folder::new(folder).unwrap().holds(path), holds, "{folder} {path}");
        }
    }

    #[test]
    fn a_folder_with_a_step_up_is_refused() {
        for folder in ["", "..", "../a", "a/..", "a/../b", "/.."] {
            assert!(Folder::new(folder).is_none(), "{folder}");
        }
    }

    #[test]
    fn only_text_is_a_path() {
        let under = ArgPattern::Under(Folder::new(".").unwrap());
        for value in [json!(1), json!(null), json!(["a"]), json!({"a": 1})] {
            assert!(!under.matches(&value), "{value}");
        }
    }

    #[test]
    fn other_values_are_searched_as_json() {
        let regex = Regex::new("--danger").unwrap();
        let pattern = ArgPattern::Text { word: "regex", source: "--danger".into(), regex };
        assert!(pattern.matches(&json!(["a", "--danger"])));
        assert!(!pattern.matches(&json!(["a"])));
    }
}
