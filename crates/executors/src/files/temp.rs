//! The new content of a file before it takes the file's place, and what a crash left of such.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    sync::Mutex,
};

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use steadyhand_core::chance::{Entropy, random_id};

use super::place::Identity;

const PREFIX: &str = ".steadyhand-";
const SUFFIX: &str = ".tmp";

/// Random bytes of a temporary name.
const RANDOM_BYTES: usize = 8;

/// How often a temporary name may be taken already.
const NAMES_MAX: usize = 8;

/// What is older than this, in seconds, belongs to no attempt that still runs: those end within 15 s.
const STALE_AFTER_S: i64 = 120;

/// How many entries of a folder are looked at for stale temporary files.
const SWEPT_ENTRIES_MAX: usize = 10_000;

/// How many swept folders are remembered.
const SWEPT_FOLDERS_MAX: usize = 4_096;

/// Whether `name` is one that is given here. Agents can't read or write such files.
pub(super) fn is_temp(name: &OsStr) -> bool {
    name.to_str().is_some_and(|n| n.starts_with(PREFIX) && n.ends_with(SUFFIX))
}

/// Whether `name` is exactly as [`Temp::create`] makes them: only such are swept.
fn is_own(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|n| n.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
    random.is_some_and(|r| r.len() == RANDOM_BYTES * 2 && r.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A new file beside the one that it will replace; removed unless it does.
#[derive(Debug)]
pub(super) struct Temp<'a> {
    folder: &'a Dir,
    /// `None` once it has another name.
    name: Option<OsString>,
    pub(super) file: File,
}

impl<'a> Temp<'a> {
    /// Makes one that only its owner can read until [`Self::file`] is given other permissions; `mode` is cut
    /// by the process's mask.
    pub(super) fn create(folder: &'a Dir, entropy: &dyn Entropy, mode: u32) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(mode);
        for _ in 0..NAMES_MAX {
            let name = OsString::from(random_id(entropy, PREFIX, RANDOM_BYTES) + SUFFIX);
            match folder.open_with(&name, &options) {
                Ok(file) => return Ok(Self { folder, name: Some(name), file: file.into_std() }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Its name for the moment.
    pub(super) fn name(&self) -> &OsStr {
        self.name.as_deref().expect("it is asked for before the file has its place")
    }

    /// It has its place: nothing is to be removed.
    pub(super) fn placed(&mut self) {
        self.name = None;
    }
}

impl Drop for Temp<'_> {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // If that fails it is stale, and swept later.
            let _ = self.folder.remove_file(name);
        }
    }
}

/// Removes temporary files that a crash left, once in each folder that is written to.
#[derive(Debug, Default)]
pub(super) struct Sweeper(Mutex<HashSet<Identity>>);

impl Sweeper {
    /// Sweeps the folder of `temp`, whose own age is the measure. A folder with younger ones is swept again.
    pub(super) fn sweep(&self, temp: &Temp<'_>, folder: Identity) {
        if !self.0.lock().expect("no panic while held").insert(folder) {
            return;
        }
        let clean = remove_stale(temp).unwrap_or(true);
        let mut swept = self.0.lock().expect("no panic while held");
        if swept.len() > SWEPT_FOLDERS_MAX {
            swept.clear();
        }
        if !clean {
            swept.remove(&folder);
        }
    }
}

/// Whether none are left that may be stale later.
fn remove_stale(temp: &Temp<'_>) -> io::Result<bool> {
    let now = temp.file.metadata()?.mtime();
    let mut clean = true;
    for entry in temp.folder.entries()?.take(SWEPT_ENTRIES_MAX) {
        let entry = entry?;
        let name = entry.file_name();
        if !is_own(&name) || name == temp.name() {
            continue;
        }
        use cap_std::fs::MetadataExt as _;
        let written = entry.metadata()?.mtime();
        if now.saturating_sub(written) > STALE_AFTER_S {
            temp.folder.remove_file(&name)?;
        } else {
            clean = false;
        }
    }
    Ok(clean)
}
