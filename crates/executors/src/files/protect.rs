//! What is never read or written, wherever it turns up.
//!
//! A protected file or folder is known by its path and by its identity (device and inode): a second mount
//! of it elsewhere has another path, a hard link too. A mount of a *part* of a protected folder under a
//! root isn't seen; making one takes the system's administrator.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::place::Identity;

/// How many entries of protected folders are searched for the other name of a file that has several;
/// beyond, such a file counts as protected.
const SEARCHED_MAX: usize = 4_096;

/// The protected files and folders.
#[derive(Debug)]
pub(crate) struct Protected {
    paths: Vec<PathBuf>,
}

impl Protected {
    /// Takes `paths` as configured; they need not exist yet.
    pub(crate) fn new(paths: &[PathBuf]) -> Self {
        let mut all: Vec<PathBuf> = paths.iter().map(|path| resolved(path)).collect();
        all.extend(paths.iter().filter(|path| path.is_absolute()).cloned());
        all.sort();
        all.dedup();
        Self { paths: all }
    }

    /// Whether `real`, a path with links followed, may not be touched. `of` is what lies there, with its
    /// number of names; `None` where nothing does. `root` is the root it lies under.
    pub(crate) fn covers(&self, real: &Path, root: &Path, of: Option<(Identity, u64)>) -> bool {
        if self.paths.is_empty() {
            return false;
        }
        if self.paths.iter().any(|path| real.starts_with(path)) {
            return true;
        }
        let identities: Vec<Identity> = self.paths.iter().filter_map(|path| identity(path).ok()).collect();
        let folders = real.ancestors().skip(1).take_while(|folder| folder.starts_with(root));
        let mut around = folders.filter_map(|folder| identity(folder).ok());
        if around.any(|folder| identities.contains(&folder)) {
            return true;
        }
        match of {
            Some((file, _)) if identities.contains(&file) => true,
            Some((file, names)) if names > 1 => self.holds(file),
            _ => false,
        }
    }

    /// Whether a protected folder holds `file` under another name.
    fn holds(&self, file: Identity) -> bool {
        let mut open: Vec<PathBuf> = self.paths.clone();
        let mut searched = 0;
        while let Some(folder) = open.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                searched += 1;
                if searched > SEARCHED_MAX {
                    return true;
                }
                let Ok(found) = entry.metadata() else { continue };
                if Identity::of(&found) == file {
                    return true;
                }
                if found.is_dir() {
                    open.push(entry.path());
                }
            }
        }
        false
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::metadata(path).map(|found| Identity { dev: found.dev(), ino: found.ino() })
}

/// `path` with links followed as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let mut rest = PathBuf::new();
    for folder in path.ancestors() {
        if let Ok(real) = fs::canonicalize(folder) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
        let Some(name) = folder.file_name() else { break };
        rest = if rest.as_os_str().is_empty() { PathBuf::from(name) } else { Path::new(name).join(rest) };
    }
    path.to_owned()
}
