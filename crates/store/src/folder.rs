//! The store's folder: who may see it, which files it has, who holds it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// The database.
pub(crate) const JOURNAL: &str = "journal.db";
/// The signed heads.
pub(crate) const HEADS: &str = "audit-heads.jsonl";
/// Whoever holds its lock is the one instance.
const LOCK: &str = "lock";

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another instance holds the folder.
    #[error("{} is in use by another instance (pid {pid}); stop it, or use another folder", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The other instance's process; 0 if it hasn't written it yet.
        pid: u32,
    },
    /// A file or folder can't be read or written.
    #[error("{} can't be used", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A secret can be read by others.
    #[error("{} can be read by others (mode {mode:03o}); run `chmod 600 {}`", path.display(), path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is a journal, but a key that it was written with is gone.
    #[error(
        "{} is missing, but the journal beside it was written with it; restore it, or move the folder aside \
         to begin a new journal",
        path.display()
    )]
    KeyMissing {
        /// The key file.
        path: PathBuf,
    },
    /// A key file doesn't hold a key.
    #[error("{} holds {bytes} bytes where a key has {}", path.display(), crate::keys::SECRET_BYTES)]
    KeyMalformed {
        /// The key file.
        path: PathBuf,
        /// How long it is; one more than a key's at most.
        bytes: usize,
    },
    /// The database was written by a newer version.
    #[error(
        "{} has schema version {found}, this version knows up to {known}; use the newer version",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// The database can't be read as one.
    #[error("{} can't be read: {reason}; restore it, or move the folder aside to begin anew", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// The end of the journal doesn't hold together.
    #[error(
        "{} doesn't match its own chain: {reason}; `steadyhand audit verify` tells more; restore it, or move \
         the folder aside to begin anew",
        path.display()
    )]
    BrokenChain {
        /// The database.
        path: PathBuf,
        /// The first thing that is wrong.
        reason: String,
    },
}

impl OpenError {
    /// For `map_err`: `path` and what went wrong with it.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// Makes `folder`, and those above it, for this user alone. One that exists stays as it is.
pub(crate) fn create(folder: &Path) -> Result<(), OpenError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(OpenError::io(folder))
}

/// The folder's lock; held until dropped.
pub(crate) fn lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join(LOCK);
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(OpenError::io(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // A pid has at most ten digits; an unreadable one is told as 0.
            let _ = (&mut file).take(16).read_to_string(&mut text);
            return Err(OpenError::InUse {
                folder: folder.to_owned(),
                pid: text.trim().parse().unwrap_or(0),
            });
        }
        Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(OpenError::io(&path))?;
    Ok(file)
}

/// Whether a journal was begun in `folder`.
pub(crate) fn has_journal(folder: &Path) -> Result<bool, OpenError> {
    let path = folder.join(JOURNAL);
    match fs::metadata(&path) {
        Ok(meta) => Ok(meta.len() > 0),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(OpenError::Io { path, source }),
    }
}

/// Makes an empty file for this user alone, unless there is one: SQLite gives its `-wal` and `-shm` the
/// same permissions.
pub(crate) fn reserve(path: &Path) -> Result<(), OpenError> {
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).mode(0o600).open(path);
    file.map(drop).map_err(OpenError::io(path))
}

/// Writes a secret under its name, whole or not at all.
pub(crate) fn write_secret(folder: &Path, name: &str, secret: &[u8]) -> Result<(), OpenError> {
    replace(folder, name, secret).map_err(OpenError::io(&folder.join(name)))
}

/// Replaces a file by one with this content, for this user alone, whole or not at all.
pub(crate) fn replace(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let path = folder.join(name);
    let draft = folder.join(format!("{name}.new"));
    // One that an earlier start left behind when it died.
    match fs::remove_file(&draft) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, &path)?;
    File::open(folder)?.sync_all()
}

/// Reads a secret that nobody else can read.
pub(crate) fn read_secret<const N: usize>(path: &Path) -> Result<[u8; N], OpenError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::KeyMissing { path: path.to_owned() });
        }
        Err(source) => return Err(OpenError::Io { path: path.to_owned(), source }),
    };
    let mode = file.metadata().map_err(OpenError::io(path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(OpenError::Exposed { path: path.to_owned(), mode });
    }
    let mut secret = Vec::with_capacity(N + 1);
    file.take(N as u64 + 1).read_to_end(&mut secret).map_err(OpenError::io(path))?;
    let bytes = secret.len();
    secret.try_into().map_err(|_| OpenError::KeyMalformed { path: path.to_owned(), bytes })
}
