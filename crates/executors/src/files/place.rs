//! Finds what a path means, beneath a root and nowhere else.
//!
//! Every look-up starts at a root's descriptor and is made by `cap-std`, which lets the kernel refuse any step
//! out of it (`RESOLVE_BENEATH`), so that a link swapped in between can't lead out. What is found is held by a
//! descriptor without access (`O_PATH`), so that nothing is opened before it is known to be a regular file:
//! a pipe can't block, a device can't act. The path that is reported and compared with the protected ones is
//! the kernel's own for that descriptor.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Component, Path, PathBuf},
};

use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions, OpenOptionsExt as _},
};
use rustix::{
    fs::{AtFlags, OFlags},
    io::Errno,
};

use super::{
    protect::Protected,
    refusal::Refusal,
    wanted::{RootNames, Wanted, under},
};
use crate::HandsError;

/// How often a look-up starts anew because the tree changed under it.
const LOOKS_MAX: usize = 8;

/// A file or folder, whatever its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) dev: u64,
    pub(crate) ino: u64,
}

impl Identity {
    pub(crate) fn of(found: &fs::Metadata) -> Self {
        Self { dev: found.dev(), ino: found.ino() }
    }

    /// `dev:ino`, as operands have it.
    pub(crate) fn text(self) -> String {
        format!("{}:{}", self.dev, self.ino)
    }
}

/// The folders that files are looked for under, and what is refused in them.
#[derive(Debug)]
pub(super) struct Roots {
    names: Vec<RootNames>,
    dirs: Vec<Dir>,
    protected: Protected,
}

/// Something that is there.
#[derive(Debug)]
pub(super) struct Found {
    /// Holds it without access.
    handle: File,
    /// What the kernel says of it.
    pub(super) metadata: fs::Metadata,
    /// Its absolute path, links followed.
    pub(super) path: PathBuf,
    root: usize,
}

/// A place where nothing is.
#[derive(Debug)]
pub(super) struct Vacant {
    /// The nearest folder that is there.
    pub(super) folder: Dir,
    /// Its identity.
    pub(super) folder_identity: Identity,
    /// Its absolute path, links followed.
    pub(super) folder_path: PathBuf,
    /// Names of folders that aren't there, outermost first.
    pub(super) missing: Vec<OsString>,
    /// The file's name.
    pub(super) name: OsString,
    /// The file's absolute path.
    pub(super) path: PathBuf,
}

/// What a path means.
#[derive(Debug)]
pub(super) enum Place {
    There(Found),
    Vacant(Vacant),
}

impl Place {
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::There(found) => &found.path,
            Self::Vacant(vacant) => &vacant.path,
        }
    }
}

/// Why a step of a look-up led nowhere.
enum Miss {
    /// Out of the roots.
    Escape,
    /// Out of the root's descriptor, and nothing is there.
    Lost,
    Io(io::Error),
}

impl From<io::Error> for Miss {
    fn from(error: io::Error) -> Self {
        // cap-std makes this error itself, the kernel's have a number.
        if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none() {
            Self::Escape
        } else {
            Self::Io(error)
        }
    }
}

impl Roots {
    /// Opens the folders.
    pub(super) fn open(roots: &[PathBuf], protected: &[PathBuf]) -> Result<Self, HandsError> {
        if roots.is_empty() {
            return Err(HandsError::NoRoot);
        }
        let (mut names, mut dirs) = (Vec::new(), Vec::new());
        for given in roots {
            let root_error = |source| HandsError::Root { path: given.clone(), source };
            let dir = Dir::open_ambient_dir(given, ambient_authority()).map_err(root_error)?;
            let real = real_path(&dir).map_err(root_error)?;
            names.push(RootNames { given: given.clone(), real });
            dirs.push(dir);
        }
        Ok(Self { names, dirs, protected: Protected::new(protected) })
    }

    /// The roots' names, for [`Wanted::parse`].
    pub(super) fn names(&self) -> &[RootNames] {
        &self.names
    }

    /// The first root that isn't where it was opened any more.
    pub(super) fn lost(&self) -> Option<&Path> {
        let in_place = |(dir, names): &(&Dir, &RootNames)| {
            let held = dir.dir_metadata().map(|m| {
                use cap_std::fs::MetadataExt as _;
                (m.dev(), m.ino())
            });
            let there = fs::metadata(&names.real).map(|m| (m.dev(), m.ino()));
            matches!((held, there), (Ok(held), Ok(there)) if held == there)
        };
        self.dirs.iter().zip(&self.names).find(|pair| !in_place(pair)).map(|(_, names)| names.given.as_path())
    }

    /// Looks up what `wanted` means.
    pub(super) fn locate(&self, wanted: &Wanted) -> Result<Place, Refusal> {
        for _ in 0..LOOKS_MAX {
            let there = match self.open_within(wanted.root, &wanted.relative) {
                Ok(handle) => self.found(handle, wanted)?.map(Place::There),
                Err(Miss::Escape) => return Err(Refusal::Outside { given: wanted.given.clone() }),
                Err(Miss::Lost) => self.vacant(wanted, true)?.map(Place::Vacant),
                Err(Miss::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                    self.vacant(wanted, false)?.map(Place::Vacant)
                }
                Err(Miss::Io(error)) => return Err(misfit(error, wanted)),
            };
            if let Some(place) = there {
                return Ok(place);
            }
        }
        Err(Refusal::Unsteady { given: wanted.given.clone() })
    }

    /// Opens without access, links followed. A link with an absolute path leads out of the root's descriptor
    /// even where it comes back; such a path is resolved first, and the result opened beneath the root that it
    /// lies under.
    fn open_within(&self, root: usize, relative: &Path) -> Result<File, Miss> {
        match self.open_beneath(root, relative) {
            Err(Miss::Escape) => {
                let real = match fs::canonicalize(self.names[root].real.join(relative)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Miss::Lost),
                    real => real.map_err(|_| Miss::Escape)?,
                };
                let (root, rest) = under(&real, &self.names).ok_or(Miss::Escape)?;
                self.open_beneath(root, rest)
            }
            result => result,
        }
    }

    fn open_beneath(&self, root: usize, relative: &Path) -> Result<File, Miss> {
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::PATH.bits().cast_signed());
        Ok(self.dirs[root].open_with(relative, &options)?.into_std())
    }

    /// What `handle` is; `None` when it is gone by now.
    fn found(&self, handle: File, wanted: &Wanted) -> Result<Option<Found>, Refusal> {
        let metadata = handle.metadata().map_err(Refusal::io("looking at the file"))?;
        if metadata.nlink() == 0 {
            return Ok(None);
        }
        let path = real_path(&handle).map_err(Refusal::io("looking up the file's path"))?;
        let names = if metadata.is_file() { metadata.nlink() } else { 1 };
        let root = self.admit(&path, Some((Identity::of(&metadata), names)), &wanted.given)?;
        if wanted.as_folder || !metadata.is_file() {
            return Err(Refusal::NotAFile { given: wanted.given.clone() });
        }
        Ok(Some(Found { handle, metadata, path, root }))
    }

    /// The root that `real` lies under, unless that is nowhere or protected.
    fn admit(&self, real: &Path, of: Option<(Identity, u64)>, given: &str) -> Result<usize, Refusal> {
        let outside = || Refusal::Outside { given: given.to_owned() };
        let (root, _) = under(real, &self.names).ok_or_else(outside)?;
        let covered = self.protected.covers(real, &self.names[root].real, of);
        if covered || real.file_name().is_some_and(super::temp::is_temp) { Err(outside()) } else { Ok(root) }
    }

    /// The nearest folder of a file that isn't there; `None` when it is there by now. `escaped`: a step led
    /// out of the root, so that only a place without links on its way may be meant.
    fn vacant(&self, wanted: &Wanted, mut escaped: bool) -> Result<Option<Vacant>, Refusal> {
        let outside = || Refusal::Outside { given: wanted.given.clone() };
        let names: Vec<Component<'_>> = wanted.relative.components().collect();
        let Some((Component::Normal(name), folders)) = names.split_last() else {
            return Err(if escaped { outside() } else { Refusal::NotAFile { given: wanted.given.clone() } });
        };
        for there in (0..=folders.len()).rev() {
            let relative: PathBuf = folders[..there].iter().collect();
            let handle = match self.open_within(wanted.root, &relative) {
                Ok(handle) => handle,
                Err(Miss::Escape) => return Err(outside()),
                Err(Miss::Lost) => {
                    escaped = true;
                    continue;
                }
                Err(Miss::Io(error)) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(Miss::Io(error)) => return Err(misfit(error, wanted)),
            };
            let metadata = handle.metadata().map_err(Refusal::io("looking at the folder"))?;
            if !metadata.is_dir() {
                return Err(Refusal::NotAFolder { given: wanted.given.clone() });
            }
            let missing: Vec<OsString> = match plain(&folders[there..]) {
                Some(missing) => missing,
                // `absent/..` means nothing until `absent` is there.
                None => return Err(Refusal::NotFound { given: wanted.given.clone() }),
            };
            let next = missing.first().map_or(*name, OsString::as_os_str);
            match rustix::fs::statat(&handle, next, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => {}
                // A link that leads nowhere; out of the root or not, it isn't followed by guesswork.
                Ok(found) if rustix::fs::FileType::from_raw_mode(found.st_mode).is_symlink() => {
                    return Err(if escaped {
                        outside()
                    } else {
                        Refusal::NotFound { given: wanted.given.clone() }
                    });
                }
                Ok(_) => return Ok(None),
                Err(error) => return Err(misfit(error.into(), wanted)),
            }
            let folder_path = real_path(&handle).map_err(Refusal::io("looking up the folder's path"))?;
            let mut path = folder_path.clone();
            path.extend(&missing);
            path.push(name);
            self.admit(&path, None, &wanted.given)?;
            if wanted.as_folder {
                return Err(Refusal::NotAFile { given: wanted.given.clone() });
            }
            let (folder_identity, folder) = (Identity::of(&metadata), Dir::from_std_file(handle));
            let name = (*name).to_owned();
            return Ok(Some(Vacant { folder, folder_identity, folder_path, missing, name, path }));
        }
        Err(outside())
    }

    /// Checks a folder that was made or opened on the way to `vacant` once more.
    pub(super) fn admit_folder(&self, folder: &Dir, vacant: &Vacant, given: &str) -> Result<(), Refusal> {
        let path = real_path(folder).map_err(Refusal::io("looking up the folder's path"))?;
        self.admit(&path.join(&vacant.name), None, given).map(|_| ())
    }

    /// The folder that holds `found`, and its name there; `None` when it has moved by now.
    pub(super) fn holder(&self, found: &Found) -> Result<Option<(Dir, OsString)>, Refusal> {
        let Ok(relative) = found.path.strip_prefix(&self.names[found.root].real) else { return Ok(None) };
        let (Some(folder), Some(name)) = (relative.parent(), relative.file_name()) else { return Ok(None) };
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let Ok(folder) = self.dirs[found.root].open_dir(folder) else { return Ok(None) };
        let there = entry(&folder, name).map_err(Refusal::io("looking at the file"))?;
        let same = there.is_some_and(|(identity, _)| identity == Identity::of(&found.metadata));
        Ok(same.then(|| (folder, name.to_owned())))
    }
}

impl Found {
    /// Opens what was found, and nothing else, for reading.
    pub(super) fn open(&self) -> Result<File, Refusal> {
        // The descriptor's own entry is the same file whatever happened to its name.
        let path = format!("/proc/self/fd/{}", self.handle.as_raw_fd());
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
        File::options().read(true).custom_flags(flags).open(path).map_err(Refusal::io("opening the file"))
    }
}

/// The entry `name` of `folder`, links not followed: what it is, and whether it is a regular file.
pub(super) fn entry(folder: &Dir, name: &OsStr) -> io::Result<Option<(Identity, bool)>> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(found) => {
            let regular = rustix::fs::FileType::from_raw_mode(found.st_mode).is_file();
            Ok(Some((Identity { dev: found.st_dev, ino: found.st_ino }, regular)))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The kernel's path of an open file or folder.
fn real_path(of: &impl AsFd) -> io::Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let path = rustix::fs::readlink(format!("/proc/self/fd/{}", of.as_fd().as_raw_fd()), Vec::new())?;
    Ok(PathBuf::from(OsString::from_vec(path.into_bytes())))
}

fn plain(folders: &[Component<'_>]) -> Option<Vec<OsString>> {
    let name = |component: &Component<'_>| match component {
        Component::Normal(name) => Some((*name).to_owned()),
        _ => None,
    };
    folders.iter().map(name).collect()
}

fn misfit(error: io::Error, wanted: &Wanted) -> Refusal {
    let given = wanted.given.clone();
    match Errno::from_io_error(&error) {
        Some(Errno::NOTDIR) => Refusal::NotAFolder { given },
        Some(Errno::NAMETOOLONG) => Refusal::Name("is too long for the file system".to_owned()),
        Some(Errno::LOOP) => Refusal::Name(format!("'{given}' goes round in links")),
        _ => Refusal::Io { doing: "looking for the file", source: error },
    }
}
