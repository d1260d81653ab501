//! Replaces a file's whole content in one step: a reader sees the old content or the new, never a mix, and so
//! does whoever looks after a power cut.
//!
//! Kept from the old file: its permissions, and its owner where we may give it. Not kept: further names (hard
//! links go on naming the old content), access lists and extended attributes. A link is written through, never
//! replaced.

use std::{
    ffi::OsString,
    fs::Metadata,
    io::{self, Write as _},
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use cap_std::fs::{Dir, DirBuilder};
use rustix::{
    fs::{Access, AtFlags, Mode, OFlags, RenameFlags},
    io::Errno,
};
use steadyhand_core::{approval::Operand, chance::Entropy};

use super::{
    content::{self, Before, CHUNK_BYTES},
    place::{self, Found, Identity, Place, Roots, Vacant},
    refusal::Refusal,
    stop::Stop,
    temp::{Sweeper, Temp},
    wanted::Wanted,
};

/// How many folders one write may make.
const FOLDERS_MADE_MAX: usize = 32;

/// Permissions of a new file, before the process's mask.
const NEW_FILE_MODE: u32 = 0o644;

/// Permissions of the temporary file while it waits to get those of the file that it replaces.
const PRIVATE_MODE: u32 = 0o600;

/// The permissions that are kept; set-user and set-group bits don't outlive a change of the content.
const KEPT_MODE: u32 = 0o777;

/// What a write needs beside its order.
#[derive(Clone, Copy)]
pub(super) struct Tools<'a> {
    pub(super) roots: &'a Roots,
    pub(super) entropy: &'a dyn Entropy,
    pub(super) sweeper: &'a Sweeper,
}

/// What is to be written where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order<'a> {
    pub(super) wanted: &'a Wanted,
    pub(super) content: &'a [u8],
    /// The file as it was when someone looked; another one isn't touched. `None`: whatever is there.
    pub(super) sealed: Option<&'a Operand>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The file's absolute path, links followed.
    pub(super) path: PathBuf,
    /// Whether there was a file before.
    pub(super) was_existing: bool,
    /// Folders that were made, outermost first.
    pub(super) folders: Vec<PathBuf>,
}

/// Where the file goes: a folder that is there, a name, and what has that name.
struct Target {
    folder: Dir,
    name: OsString,
    path: PathBuf,
    old: Option<Metadata>,
}

/// Writes, durably.
pub(super) fn write(tools: Tools<'_>, order: Order<'_>, stop: &Stop) -> Result<Written, Refusal> {
    let place = tools.roots.locate(order.wanted)?;
    if let Some(sealed) = order.sealed {
        check_early(&place, sealed)?;
    }
    match place {
        Place::There(found) => {
            let target = existing(tools.roots, found, order)?;
            replace(tools, &target, order, stop)?;
            Ok(Written { path: target.path, was_existing: true, folders: Vec::new() })
        }
        Place::Vacant(vacant) => {
            let mut made = Made::default();
            let folder = made.make(tools.roots, &vacant, order.wanted)?;
            let Vacant { name, path, .. } = vacant;
            let target = Target { folder, name, path, old: None };
            replace(tools, &target, order, stop)?;
            Ok(Written { path: target.path, was_existing: false, folders: made.keep() })
        }
    }
}

/// What can be told without reading the content again.
fn check_early(place: &Place, sealed: &Operand) -> Result<(), Refusal> {
    let (identity, there) = match place {
        Place::There(found) => (Identity::of(&found.metadata), true),
        Place::Vacant(vacant) => (vacant.folder_identity, false),
    };
    let same = place.path().to_string_lossy() == sealed.path
        && there == (Before::of(sealed) != Before::Nothing)
        && identity.text() == sealed.identity;
    if same { Ok(()) } else { Err(Refusal::Stale { path: sealed.path.clone() }) }
}

fn existing(roots: &Roots, found: Found, order: Order<'_>) -> Result<Target, Refusal> {
    let unsteady = || Refusal::Unsteady { given: order.wanted.given.clone() };
    let (folder, name) = roots.holder(&found)?.ok_or_else(unsteady)?;
    // Replacing takes rights on the folder only; who made the file read-only meant it.
    rustix::fs::accessat(&folder, &name, Access::WRITE_OK, AtFlags::EACCESS)
        .map_err(|e| Refusal::Io { doing: "writing the file", source: e.into() })?;
    Ok(Target { folder, name, path: found.path, old: Some(found.metadata) })
}

fn replace(tools: Tools<'_>, target: &Target, order: Order<'_>, stop: &Stop) -> Result<(), Refusal> {
    let mode = if target.old.is_some() { PRIVATE_MODE } else { NEW_FILE_MODE };
    let mut temp = Temp::create(&target.folder, tools.entropy, mode)
        .map_err(Refusal::io("making a temporary file beside the file"))?;
    let folder = target.folder.dir_metadata().map_err(Refusal::io("looking at the folder"))?;
    {
        use cap_std::fs::MetadataExt as _;
        tools.sweeper.sweep(&temp, Identity { dev: folder.dev(), ino: folder.ino() });
    }
    for chunk in order.content.chunks(CHUNK_BYTES) {
        stop.check()?;
        temp.file.write_all(chunk).map_err(Refusal::io("writing the temporary file"))?;
    }
    if let Some(old) = &target.old {
        inherit(&temp, old).map_err(Refusal::io("giving the temporary file the file's permissions"))?;
    }
    stop.check()?;
    temp.file.sync_all().map_err(Refusal::io("syncing the temporary file"))?;
    check_late(target, order, stop)?;
    stop.commit()?;
    rename(&temp, target, order)?;
    temp.placed();
    sync(&target.folder).map_err(|source| Refusal::Late { doing: "syncing its folder", source })
}

fn inherit(temp: &Temp<'_>, old: &Metadata) -> io::Result<()> {
    let new = temp.file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        let owner = (new.uid() != old.uid()).then(|| rustix::fs::Uid::from_raw(old.uid()));
        let group = (new.gid() != old.gid()).then(|| rustix::fs::Gid::from_raw(old.gid()));
        // Only the administrator may give files away; the content matters more than its owner.
        let _ = rustix::fs::fchown(&temp.file, owner, group);
    }
    Ok(rustix::fs::fchmod(&temp.file, Mode::from_raw_mode(old.mode() & KEPT_MODE))?)
}

/// Whether what has the name is still what was found and sealed, as late as can be.
fn check_late(target: &Target, order: Order<'_>, stop: &Stop) -> Result<(), Refusal> {
    let changed = || match order.sealed {
        Some(sealed) => Refusal::Stale { path: sealed.path.clone() },
        None => Refusal::Unsteady { given: order.wanted.given.clone() },
    };
    let now = place::entry(&target.folder, &target.name).map_err(Refusal::io("looking at the file"))?;
    let expected = target.old.as_ref().map(|old| (Identity::of(old), true));
    if now != expected {
        return Err(changed());
    }
    let (Some(sealed), Some(_)) = (order.sealed, &target.old) else { return Ok(()) };
    let file = reopen(target).map_err(|_| changed())?;
    let found = file.metadata().map_err(Refusal::io("looking at the file"))?;
    if Some((Identity::of(&found), found.is_file())) != expected || found.len() != sealed.size {
        return Err(changed());
    }
    let Before::Content(digest) = Before::of(sealed) else { return Ok(()) };
    match content::digest_open(&file, found.len(), stop) {
        Ok((now, _)) if now == *digest => Ok(()),
        Ok(_) | Err(Refusal::TooLarge { .. }) => Err(changed()),
        Err(refusal) => Err(refusal),
    }
}

fn reopen(target: &Target) -> io::Result<std::fs::File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(&target.folder, &target.name, flags, Mode::empty())?.into())
}

/// The point of no return.
fn rename(temp: &Temp<'_>, target: &Target, order: Order<'_>) -> Result<(), Refusal> {
    let (folder, name) = (&target.folder, &target.name);
    let failed = |error: Errno| Refusal::Io { doing: "putting the file in its place", source: error.into() };
    if target.old.is_none() {
        match rustix::fs::renameat_with(folder, temp.name(), folder, name, RenameFlags::NOREPLACE) {
            // Some file systems don't know the flag; the look a moment ago must do there.
            Err(Errno::INVAL | Errno::NOSYS) => {}
            Err(Errno::EXIST) => {
                return Err(match order.sealed {
                    Some(sealed) => Refusal::Stale { path: sealed.path.clone() },
                    None => Refusal::Unsteady { given: order.wanted.given.clone() },
                });
            }
            result => return result.map_err(failed),
        }
    }
    rustix::fs::renameat(folder, temp.name(), folder, name).map_err(failed)
}

/// Makes a folder's entries durable. The descriptors that look-ups give can't, having no access.
pub(super) fn sync(folder: &Dir) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = rustix::fs::openat(folder, ".", flags, Mode::empty())?;
    Ok(rustix::fs::fsync(open)?)
}

/// The folders that a write made; removed again unless they are kept.
#[derive(Default)]
struct Made {
    folders: Vec<(Dir, OsString, PathBuf)>,
}

impl Made {
    /// Makes the folders that `vacant` misses, durably, and gives the innermost.
    fn make(&mut self, roots: &Roots, vacant: &Vacant, wanted: &Wanted) -> Result<Dir, Refusal> {
        if vacant.missing.len() > FOLDERS_MADE_MAX {
            let max = FOLDERS_MADE_MAX;
            return Err(Refusal::Name(format!("needs more than {max} folders that aren't there")));
        }
        let copy = |dir: &Dir| dir.try_clone().map_err(Refusal::io("opening the folder"));
        let mut folder = copy(&vacant.folder)?;
        let mut path = vacant.folder_path.clone();
        for name in &vacant.missing {
            path.push(name);
            match folder.create_dir_with(name, &DirBuilder::new()) {
                Ok(()) => self.folders.push((copy(&folder)?, name.clone(), path.clone())),
                // Someone else made it a moment ago.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Refusal::Io { doing: "making a folder", source: error }),
            }
            sync(&folder).map_err(Refusal::io("syncing a folder"))?;
            folder = folder.open_dir(name).map_err(Refusal::io("opening the folder"))?;
            roots.admit_folder(&folder, vacant, &wanted.given)?;
        }
        Ok(folder)
    }

    fn keep(mut self) -> Vec<PathBuf> {
        std::mem::take(&mut self.folders).into_iter().map(|(_, _, path)| path).collect()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for (parent, name, _) in self.folders.iter().rev() {
            // Only an empty one goes: what others put there stays.
            let _ = parent.remove_dir(name);
        }
    }
}

#[cfg(test)]
mod tests;
