//! The folders of an installation: made where absent, and what to do when that fails.

use std::{
    fs::DirBuilder,
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::Path,
};

use steadyhand_store::OpenError;

use crate::{exit::Exit, fault::Fault};

/// Makes a folder that only its owner may enter.
///
/// # Errors
/// What is in the way.
pub(crate) fn make_private(path: &Path) -> Result<(), Fault> {
    make(path)?;
    let meta = std::fs::metadata(path).map_err(|e| Fault::io(path, "look at", &e))?;
    if !meta.is_dir() {
        let message = format!("{} is no folder", path.display());
        return Err(Fault::new(Exit::Configuration, message).advise("move it away, or name another place"));
    }
    if meta.permissions().mode() & 0o077 != 0 {
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(path, private).map_err(|e| Fault::io(path, "make private", &e))?;
    }
    Ok(())
}

/// Makes a root where there is none; one that is there is left as it is.
///
/// # Errors
/// What is in the way.
pub(crate) fn make_root(path: &Path) -> Result<(), Fault> {
    if !path.exists() {
        tracing::warn!(root = %path.display(), "there is no such folder; it is made");
    }
    make(path)?;
    if path.is_dir() {
        return Ok(());
    }
    let message = format!("the root {} is no folder", path.display());
    Err(Fault::new(Exit::Configuration, message).advise("name another with --root"))
}

fn make(path: &Path) -> Result<(), Fault> {
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Fault::io(path, "make", &error)),
    }
}

/// Why the journal doesn't open, for the person at the terminal.
pub(crate) fn journal_fault(folder: &Path, error: &OpenError) -> Fault {
    let message = format!("the journal in {} doesn't open: {}", folder.display(), chain(error));
    match error {
        OpenError::InUse { .. } => Fault::new(Exit::InUse, message)
            .advise("another Steadyhand works on this folder: stop it, or name another with --data-dir"),
        _ => Fault::new(Exit::Configuration, message)
            .advise("`steadyhand doctor` looks at the folder; a backup can be put in its place"),
    }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
