//! Finds the program and the files of a command in the world, and takes their identity.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Component, Path, PathBuf},
};

use sha2::{Digest as _, Sha256};
use steadyhand_core::{approval::Operand, digest::Digest, failure::Failure};

use super::{allow::Allowed, program_missing};
use crate::{
    files::{Identity, Protected},
    sandbox::PATH,
};

/// Files up to this size are sealed by their content, larger ones by identity and size.
const DIGESTED_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// The roots and the protected paths, with links followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folders {
    pub(super) roots: Vec<PathBuf>,
    pub(super) protected: Vec<PathBuf>,
}

impl Folders {
    /// Resolves what the configuration names. A root that isn't there is left out; a protected path that
    /// isn't there is kept, with whatever part of it is there resolved.
    pub(super) fn resolve(roots: &[PathBuf], protected: &[PathBuf]) -> Result<Self, Failure> {
        let roots: Vec<PathBuf> = roots.iter().filter_map(|root| fs::canonicalize(root).ok()).collect();
        if roots.is_empty() {
            return Err(Failure::error("none of the root folders is there"));
        }
        let protected = protected.iter().map(|path| nearest(path).unwrap_or_else(|| path.clone())).collect();
        Ok(Self { roots, protected })
    }

    /// The absolute path that `word` names, if it lies under a root and isn't protected.
    fn find(&self, word: &str) -> Result<PathBuf, Failure> {
        let outside = || Failure::denied(format!("Path '{word}' is outside sandbox or is protected"));
        let path = nearest(&self.roots[0].join(word)).ok_or_else(outside)?;
        let root = self.roots.iter().find(|root| path.starts_with(root)).ok_or_else(outside)?;
        // By identity too: a hard link to a protected file has an innocent path.
        let there = fs::metadata(&path).ok().map(|found| (Identity::of(&found), found.nlink()));
        if Protected::new(&self.protected).covers(&path, root, there) { Err(outside()) } else { Ok(path) }
    }
}

/// Resolves `path` as far as it exists. What doesn't exist must be plain names, so that no `..` can lead
/// out of what was resolved.
fn nearest(path: &Path) -> Option<PathBuf> {
    let mut missing = Vec::new();
    let mut existing = path;
    loop {
        match fs::canonicalize(existing) {
            Ok(resolved) => return Some(missing.iter().rev().fold(resolved, |path, name| path.join(name))),
            // A link that leads nowhere isn't followed by guesswork.
            Err(_) if fs::symlink_metadata(existing).is_ok() => return None,
            Err(_) => match existing.components().next_back()? {
                Component::Normal(name) => missing.push(name),
                _ => return None,
            },
        }
        existing = existing.parent()?;
    }
}

/// What a command works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    /// The program's absolute path, links followed.
    pub(super) program: PathBuf,
    files: Vec<PathBuf>,
}

/// Looks for the program on the fixed path and for the files under the roots.
pub(super) fn locate(allowed: &Allowed<'_>, folders: &Folders) -> Result<Located, Failure> {
    let program = PATH
        .split(':')
        .map(|folder| Path::new(folder).join(allowed.program))
        .find(|path| fs::metadata(path).is_ok_and(|found| is_executable(&found)))
        .and_then(|path| fs::canonicalize(path).ok())
        .ok_or_else(|| program_missing(allowed.program))?;
    let files = allowed.files.iter().map(|word| folders.find(word)).collect::<Result<_, _>>()?;
    Ok(Located { program, files })
}

fn is_executable(found: &Metadata) -> bool {
    found.is_file() && found.permissions().mode() & 0o111 != 0
}

impl Located {
    /// Takes the identity of the program and of every file, in the order of the command.
    pub(super) fn seal(&self) -> Vec<Operand> {
        let files = self.files.iter().map(|file| operand("command", file));
        std::iter::once(operand("program", &self.program)).chain(files).collect()
    }
}

fn operand(param: &str, path: &Path) -> Operand {
    let sealed = |identity, digest, size| Operand {
        param: param.to_owned(),
        path: path.to_string_lossy().into_owned(),
        identity,
        digest,
        size,
    };
    match fs::metadata(path) {
        Ok(found) => {
            let digest = if found.is_file() { digest(path).ok() } else { None };
            sealed(identity(&found), digest, found.len())
        }
        Err(_) => {
            let parent = path.ancestors().skip(1).find_map(|folder| fs::metadata(folder).ok());
            sealed(parent.as_ref().map(identity).unwrap_or_default(), None, 0)
        }
    }
}

fn identity(found: &Metadata) -> String {
    format!("{}:{}", found.dev(), found.ino())
}

/// The digest of a regular file of at most [`DIGESTED_BYTES_MAX`]. Opened so that a pipe put in its place
/// can't hold it up.
fn digest(path: &Path) -> io::Result<Digest> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() || file.metadata()?.len() > DIGESTED_BYTES_MAX {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let (mut hasher, mut file) = (Sha256::new(), file.take(DIGESTED_BYTES_MAX));
    let mut chunk = vec![0; 64 * 1024];
    while let read @ 1.. = file.read(&mut chunk)? {
        hasher.update(&chunk[..read]);
    }
    Ok(Digest::from_bytes(&hasher.finalize().into()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_are_found_under_the_roots_only() {
        let folder = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(folder.path()).unwrap();
        for made in ["root/sub", "root/kept", "root-evil", "other"] {
            fs::create_dir_all(top.join(made)).unwrap();
        }
        for made in ["root/a", "root/kept/b", "root-evil/c", "other/d"] {
            fs::write(top.join(made), made).unwrap();
        }
        symlink(top.join("root/a"), top.join("root/in")).unwrap();
        symlink(top.join("other/d"), top.join("root/out")).unwrap();
        symlink("../root-evil", top.join("root/folder")).unwrap();
        symlink("nowhere", top.join("root/dangling")).unwrap();
        symlink("kept/b", top.join("root/alias")).unwrap();
        let folders =
            Folders::resolve(&[top.join("root"), top.join("gone")], &[top.join("root/kept")]).unwrap();
        for (word, found) in [
            ("a", Some("root/a")),
            ("./a", Some("root/a")),
            ("sub/../a", Some("root/a")),
            ("in", Some("root/in")),
            ("absent", Some("root/absent")),
            ("absent/deeper", Some("root/absent/deeper")),
            ("", Some("root")),
            ("..", None),
            ("../other/d", None),
            ("sub/../../other/d", None),
            ("absent/../../other/d", None),
            ("../root-evil/c", None),
            ("out", None),
            ("folder/c", None),
            ("dangling", None),
            ("kept", None),
            ("kept/b", None),
            ("kept/absent", None),
            ("alias", None),
            ("/etc/passwd", None),
            ("/proc/self/root/etc/passwd", None),
            ("/", None),
        ] {
            let expected = found.map(|path| top.join(if path == "root/in" { "root/a" } else { path }));
            assert_eq!(folders.find(word).ok(), expected, "{word:?}");
        }
        let absolute = top.join("root/a");
        assert_eq!(folders.find(absolute.to_str().unwrap()).unwrap(), absolute);
        let refused = folders.find("../other/d").unwrap_err();
        assert_eq!(refused, Failure::denied("Path '../other/d' is outside sandbox or is protected"));
    }

    #[test]
    fn without_a_root_nothing_runs() {
        assert!(Folders::resolve(&["/nowhere/at/all".into()], &[]).is_err());
    }

    #[test]
    fn an_operand_changes_with_content_and_with_identity() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let absent = operand("command", &path);
        assert!(absent.digest.is_none() && absent.size == 0 && !absent.identity.is_empty());
        fs::write(&path, "one").unwrap();
        let first = operand("command", &path);
        assert_eq!(first.digest, Some(Digest::of(b"one")));
        fs::write(&path, "two").unwrap();
        let second = operand("command", &path);
        assert_eq!((first.identity == second.identity, first.digest == second.digest), (true, false));
        fs::write(folder.path().join("b"), "two").unwrap();
        fs::rename(folder.path().join("b"), &path).unwrap();
        assert_ne!(operand("command", &path).identity, second.identity);
        File::options().write(true).open(&path).unwrap().set_len(DIGESTED_BYTES_MAX + 1).unwrap();
        let huge = operand("command", &path);
        assert_eq!((huge.digest, huge.size), (None, DIGESTED_BYTES_MAX + 1));
    }
}
