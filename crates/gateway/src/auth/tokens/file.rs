//! A token's file: read with suspicion, written whole or not at all.

use std::{
    fs::{self, DirBuilder, File},
    io::{Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{Mode as FileMode, OFlags};
use serde::Deserialize;
use steadyhand_core::caller::Scope;

use super::{SERVICE, Secret, TOKENS_MAX, Token, TokenError, check_name, check_scopes, word};

/// Longest token file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024;
/// What a token's file name ends with.
const ENDING: &str = ".toml";
/// What others may do with a token: nothing.
const OTHERS: u32 = 0o077;

/// Whether a file may be there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// It must not be.
    New,
    /// It is replaced.
    Replace,
}

/// What the folder and its files looked like: enough to see that one was changed, added or removed.
#[derive(PartialEq, Eq)]
pub(super) struct Mark(Vec<(PathBuf, u64, i64, i64, u32)>);

impl Mark {
    /// Looks at the folder and at each token's file. What can't be looked at is left out, which is a
    /// mark of its own.
    pub(super) fn of(folder: &Path) -> Self {
        let files = names(folder).unwrap_or_default();
        let paths = files.iter().map(|name| path_of(folder, name));
        let marks = std::iter::once(folder.to_owned()).chain(paths).filter_map(|path| {
            let meta = fs::symlink_metadata(&path).ok()?;
            let changed = meta.ctime().saturating_mul(1_000_000_000).saturating_add(meta.ctime_nsec());
            let written = meta.mtime().saturating_mul(1_000_000_000).saturating_add(meta.mtime_nsec());
            Some((path, meta.ino(), changed, written, meta.mode()))
        });
        Self(marks.collect())
    }
}

/// Makes the folder (0700) if it is absent, and checks that it is ours alone.
pub(super) fn make_folder(folder: &Path) -> Result<(), TokenError> {
    let io = |source| TokenError::Io { path: folder.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
    let meta = fs::metadata(folder).map_err(io)?;
    check_owner(folder, &meta, 0o700)
}

/// The names of all tokens in the folder, sorted; at most [`TOKENS_MAX`].
pub(super) fn names(folder: &Path) -> Result<Vec<String>, TokenError> {
    let io = |source| TokenError::Io { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let file_name = entry.map_err(io)?.file_name();
        let name = file_name.to_str().and_then(|n| n.strip_suffix(ENDING));
        if let Some(name) = name.filter(|n| check_name(n).is_ok()) {
            names.push(name.to_owned());
        }
        if names.len() == TOKENS_MAX {
            break;
        }
    }
    names.sort();
    Ok(names)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    token: String,
    scopes: Vec<Scope>,
    created_at: String,
}

/// Reads one token. Links are not followed.
pub(super) fn read(folder: &Path, name: &str) -> Result<Token, TokenError> {
    let path = path_of(folder, name);
    let text = read_text(&path, name)?;
    let malformed = |what: String| TokenError::Malformed { path: path.clone(), what };
    // The error's full text would quote the line, and the line may be the secret.
    let body: Body = toml::from_str(&text).map_err(|e| malformed(e.message().to_owned()))?;
    let secret = Secret::parse(&body.token)
        .ok_or_else(|| malformed("the token doesn't have a token's form".into()))?;
    check_scopes(name, &body.scopes).map_err(|e| malformed(e.to_string()))?;
    if name == SERVICE && body.scopes != [Scope::Service] {
        return Err(malformed("the gateway's own token has the scope `service` only".into()));
    }
    Ok(Token { name: name.to_owned(), secret, scopes: body.scopes, created_at: body.created_at })
}

fn read_text(path: &Path, name: &str) -> Result<String, TokenError> {
    let io = |source: std::io::Error| TokenError::Io { path: path.to_owned(), source };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, FileMode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT) => return Err(TokenError::Unknown(name.to_owned())),
        Err(error) => return Err(io(error.into())),
    };
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(TokenError::Malformed { path: path.to_owned(), what: "not a plain file".into() });
    }
    check_owner(path, &meta, 0o600)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(io)?;
    String::from_utf8(bytes)
        .map_err(|_| TokenError::Malformed { path: path.to_owned(), what: "not text".into() })
}

/// Writes one token: a temporary file beside it, synced, then moved into place. Its time of creation is
/// that of the temporary file, by the file system's clock.
pub(super) fn write(
    folder: &Path,
    name: &str,
    secret: Secret,
    scopes: &[Scope],
    mode: Mode,
) -> Result<Token, TokenError> {
    let path = path_of(folder, name);
    let io = |source| TokenError::Io { path: path.clone(), source };
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .map_err(io)?;
    let modified = file.as_file().metadata().and_then(|m| m.modified()).map_err(io)?;
    let created_at = jiff::Timestamp::try_from(modified).unwrap_or_default();
    let created_at = jiff::Timestamp::from_second(created_at.as_second()).unwrap_or_default().to_string();
    let words: Vec<String> = scopes.iter().map(|s| format!("\"{}\"", word(*s))).collect();
    let body = format!(
        "# A key to this machine: whoever reads it may act as `{name}`.\n\
         token = \"{}\"\nscopes = [{}]\ncreated_at = \"{created_at}\"\n",
        secret.expose(),
        words.join(", "),
    );
    file.write_all(body.as_bytes()).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    match mode {
        Mode::Replace => file.persist(&path).map(drop).map_err(|e| io(e.error))?,
        Mode::New => match file.persist_noclobber(&path) {
            Ok(_) => {}
            Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(TokenError::Exists(name.to_owned()));
            }
            Err(e) => return Err(io(e.error)),
        },
    }
    sync_folder(folder)?;
    Ok(Token { name: name.to_owned(), secret, scopes: scopes.to_vec(), created_at })
}

/// Removes one token's file.
pub(super) fn remove(folder: &Path, name: &str) -> Result<(), TokenError> {
    let path = path_of(folder, name);
    match fs::remove_file(&path) {
        Ok(()) => sync_folder(folder),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(TokenError::Unknown(name.to_owned())),
        Err(source) => Err(TokenError::Io { path, source }),
    }
}

fn sync_folder(folder: &Path) -> Result<(), TokenError> {
    let io = |source| TokenError::Io { path: folder.to_owned(), source };
    File::open(folder).and_then(|f| f.sync_all()).map_err(io)
}

fn check_owner(path: &Path, meta: &fs::Metadata, mode: u32) -> Result<(), TokenError> {
    if meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(TokenError::NotOurs(path.to_owned()));
    }
    if meta.mode() & OTHERS != 0 {
        return Err(TokenError::Exposed { path: path.to_owned(), mode });
    }
    Ok(())
}

fn path_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{ENDING}"))
}
