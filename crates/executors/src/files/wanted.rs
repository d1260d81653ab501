//! Reads a path as it was asked for, before the world is looked at.
//!
//! A relative path starts at the first root. An absolute one must begin with a root, as configured or with
//! its links followed; an alias of a root elsewhere in the file system isn't tried. `~`, `%2f`, `$HOME` and the
//! like are names like any other: nothing is expanded. Names that would deceive whoever reads an approval
//! (control characters, reversed text) and backslashes, which only a Windows path means, are refused.

use std::path::{Component, Path, PathBuf};

use super::{refusal::Refusal, temp};

/// The longest path, in bytes (Linux: `PATH_MAX` less its NUL).
pub(super) const PATH_BYTES_MAX: usize = 4095;

/// The longest name of a file or folder, in bytes (Linux: `NAME_MAX`).
pub(super) const NAME_BYTES_MAX: usize = 255;

/// The names under which one root is known: as configured, and with its links followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RootNames {
    pub(super) given: PathBuf,
    pub(super) real: PathBuf,
}

/// A path that may be looked up beneath a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// As it was asked for.
    pub(super) given: String,
    /// Which root.
    pub(super) root: usize,
    /// From there: names and `..` only. Empty: the root itself.
    pub(super) relative: PathBuf,
    /// Whether it was written as a folder (`a/`, `a/.`, `a/..`).
    pub(super) as_folder: bool,
}

impl Wanted {
    /// Reads `given`.
    pub(super) fn parse(given: &str, roots: &[RootNames]) -> Result<Self, Refusal> {
        if given.is_empty() {
            return Err(Refusal::Required("path"));
        }
        if given.len() > PATH_BYTES_MAX {
            return Err(Refusal::Name(format!("is longer than {PATH_BYTES_MAX} bytes")));
        }
        if let Some(c) = given.chars().find(|c| is_deceptive(*c)) {
            return Err(Refusal::Name(format!("contains the control character U+{:04X}", u32::from(c))));
        }
        if given.contains('\\') {
            return Err(Refusal::Name("contains a backslash; folders are separated by '/'".to_owned()));
        }
        let outside = || Refusal::Outside { given: given.to_owned() };
        let path = Path::new(given);
        let (root, rest) =
            if path.is_absolute() { under(path, roots).ok_or_else(outside)? } else { (0, path) };
        let mut relative = PathBuf::new();
        for component in rest.components() {
            match component {
                Component::Normal(name) if name.len() > NAME_BYTES_MAX => {
                    return Err(Refusal::Name(format!("has a name longer than {NAME_BYTES_MAX} bytes")));
                }
                Component::Normal(name) if temp::is_temp(name) => return Err(outside()),
                Component::Normal(name) => relative.push(name),
                Component::ParentDir => relative.push(".."),
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => return Err(outside()),
            }
        }
        let last = given.rsplit('/').next().unwrap_or_default();
        let as_folder = matches!(last, "" | "." | "..") || relative.as_os_str().is_empty();
        Ok(Self { given: given.to_owned(), root, relative, as_folder })
    }
}

/// The root that `path` begins with, the deepest if several, and what follows.
pub(super) fn under<'a>(path: &'a Path, roots: &[RootNames]) -> Option<(usize, &'a Path)> {
    let rests = roots.iter().enumerate().flat_map(|(i, root)| {
        [&root.given, &root.real].into_iter().filter_map(move |name| Some((i, path.strip_prefix(name).ok()?)))
    });
    rests.min_by_key(|(_, rest)| rest.as_os_str().len())
}

/// Control characters, and those that change the direction of the text around them.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn roots() -> Vec<RootNames> {
        let names = |given: &str, real: &str| RootNames { given: given.into(), real: real.into() };
        vec![names("/home/me/shop", "/disk/shop"), names("/disk/shop/deep", "/disk/shop/deep")]
    }

    #[test]
    fn a_path_is_read_from_its_root() {
        for (given, root, relative, as_folder) in [
            ("a", 0, "a", false),
            ("./a//b/./c", 0, "a/b/c", false),
            ("../a", 0, "../a", false),
            ("a/", 0, "a", true),
            ("a/.", 0, "a", true),
            ("a/..", 0, "a/..", true),
            (".", 0, "", true),
            ("/home/me/shop", 0, "", true),
            ("/home/me/shop/a", 0, "a", false),
            ("/disk/shop/a", 0, "a", false),
            ("/disk/shop/deep/a", 1, "a", false),
            ("/disk/shop/deeper/a", 0, "deeper/a", false),
            ("/disk/shop/../a", 0, "../a", false),
            ("~/a", 0, "~/a", false),
            (" a ", 0, " a ", false),
        ] {
            let wanted = Wanted::parse(given, &roots()).unwrap();
            let expected = Wanted { given: given.to_owned(), root, relative: relative.into(), as_folder };
            assert_eq!(wanted, expected);
        }
    }

    #[test]
    fn an_absolute_path_must_begin_with_a_root() {
        for given in ["/", "/etc", "/home/me", "/home/me/shopping/a", "/disk/shopping", "/HOME/me/shop/a"] {
            let refused = Wanted::parse(given, &roots()).unwrap_err().to_string();
            assert_eq!(refused, format!("Path '{given}' is outside sandbox or is protected"));
        }
    }

    #[test]
    fn the_longest_names_and_paths_pass_and_longer_ones_do_not() {
        let ends = |given: String| Wanted::parse(&given, &roots()).map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(ends("n".repeat(NAME_BYTES_MAX)), Ok(()));
        assert!(ends("n".repeat(NAME_BYTES_MAX + 1)).is_err());
        assert_eq!(ends("n/".repeat(PATH_BYTES_MAX / 2) + "n"), Ok(()));
        assert!(ends("n/".repeat(PATH_BYTES_MAX / 2) + "nn").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(given in "\\PC*|[a-c./\\\\\\x00~]{0,40}") {
            if let Ok(wanted) = Wanted::parse(&given, &roots()) {
                prop_assert!(wanted.relative.is_relative());
                let plain = |c| matches!(c, Component::Normal(_) | Component::ParentDir);
                prop_assert!(wanted.relative.components().all(plain));
                prop_assert!(wanted.root < 2);
            }
        }
    }
}
