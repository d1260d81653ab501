//! What the program may read, enforced by Landlock: the system's programs and libraries, the few files
//! that they need, and the roots. It may write to `/dev/null` and nowhere else, bind and connect nowhere,
//! and signal nobody outside the sandbox.
//!
//! Landlock can't subtract. Where a protected path lies under something granted, each of its siblings is
//! granted instead, so that what is inside stays unreadable; the names in the protected folder can still
//! be listed, and a file that appears beside it during the run can't be read. Landlock doesn't restrict
//! `stat`: that a file exists, its size and times, can be learned of any path whose folders the user may
//! enter.

use std::{
    ffi::OsStr,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::fs::{Dir, FileType, Mode, OFlags, fstat, open, openat};

use crate::files::{Identity, Protected};

/// The newest ABI that these rules were written for and tested with. On an older kernel what it lacks is
/// left out, but never the file rules of the first.
const ABI_TESTED: ABI = ABI::V7;

/// Most rules that roots with something protected inside may be split into.
const RULES_MAX: usize = 4096;

/// Programs and libraries: read and execute.
const EXECUTABLE: &[&str] = &["/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What the listed programs read beside the roots. `/proc` is needed by `ps`, `free`, `uptime` and `df`;
/// other processes' memory, environment and descriptors stay closed by Landlock's ptrace rule.
const READABLE: &[&str] = &[
    "/dev/null",
    "/dev/random",
    "/dev/urandom",
    "/dev/zero",
    "/etc/group",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mtab",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/timezone",
    "/proc",
    "/sys/devices/system/cpu",
];

/// Why the file rules aren't in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unconfined {
    /// The kernel has no Landlock, or it isn't turned on.
    #[error("the kernel offers no Landlock")]
    Unavailable,
    /// A rule wasn't taken.
    #[error("Landlock refused a rule: {0}")]
    Rule(#[from] landlock::RulesetError),
    /// A root holds too many entries beside something protected.
    #[error("`{0}` has too many entries beside something protected (max {RULES_MAX})")]
    TooManyRules(PathBuf),
}

/// The kernel's ABI, as far as it is used here; `None`: there is no Landlock, or it isn't turned on.
#[expect(unsafe_code, reason = "the crate tells the version only by restricting the caller")]
pub(super) fn abi() -> Option<u32> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the call reads no memory and makes no ruleset; it returns a number.
    let abi = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, VERSION)
    };
    u32::try_from(abi).ok().filter(|&abi| abi > 0).map(|abi| abi.min(ABI_TESTED as u32))
}

/// Restricts this thread for good; returns the ABI in force.
pub(super) fn confine(roots: &[PathBuf], protected: &[PathBuf]) -> Result<u32, Unconfined> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI_TESTED))?
        .handle_access(AccessNet::from_all(ABI_TESTED))?
        .scope(Scope::from_all(ABI_TESTED))?
        .create()?;
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    for path in EXECUTABLE {
        ruleset = grant(ruleset, Path::new(path), protected, read | AccessFs::Execute)?;
    }
    for path in READABLE.iter().map(Path::new).chain(roots.iter().map(PathBuf::as_path)) {
        ruleset = grant(ruleset, path, protected, read)?;
    }
    ruleset = grant(ruleset, Path::new("/dev/null"), &[], AccessFs::WriteFile.into())?;
    let status = ruleset.restrict_self()?;
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if status.ruleset != RulesetStatus::NotEnforced => {
            Ok(effective_abi.min(ABI_TESTED) as u32)
        }
        _ => Err(Unconfined::Unavailable),
    }
}

fn grant(
    ruleset: RulesetCreated,
    path: &Path,
    protected: &[PathBuf],
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Unconfined> {
    let mut ruleset = Some(ruleset);
    walk(path, protected, access, &mut |_, opened, access| {
        let so_far = ruleset.take().expect("put back below");
        ruleset = Some(rule(so_far, opened, access)?);
        Ok(())
    })?;
    Ok(ruleset.expect("put back above"))
}

/// Takes something to be granted: its path, what was opened there, and which access.
type Give<'a> = dyn FnMut(&Path, OwnedFd, BitFlags<AccessFs>) -> Result<(), Unconfined> + 'a;

/// Gives what is to be granted for `path` without anything protected: the path itself, or what lies beside
/// the protected paths in it. What isn't there or can't be opened is left out.
///
/// Each entry is opened once, relative to its folder and not as a link, and the rule is made of that: one
/// that is swapped for a link meanwhile can't grant what the link leads to.
fn walk(
    path: &Path,
    protected: &[PathBuf],
    access: BitFlags<AccessFs>,
    give: &mut Give<'_>,
) -> Result<(), Unconfined> {
    let Ok(top) = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else { return Ok(()) };
    if protected.iter().any(|kept| path.starts_with(kept)) {
        return Ok(());
    }
    if !protected.iter().any(|kept| kept.starts_with(path)) {
        return give(path, top, access);
    }
    let kept_by_identity = Protected::new(protected);
    let mut given = 0;
    let mut split = vec![(path.to_owned(), top)];
    while let Some((folder, opened)) = split.pop() {
        let listing = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(entries) = openat(&opened, ".", listing, Mode::empty()).and_then(Dir::new) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let Ok(child) = openat(&opened, name, flags, Mode::empty()) else { continue };
            let path = folder.join(OsStr::from_bytes(name.to_bytes()));
            // A rule is made of what lies there: one for another name of a protected file would open its own
            // name too.
            let (identity, names) = match fstat(&child) {
                Ok(found) => (Identity { dev: found.st_dev, ino: found.st_ino }, found.st_nlink),
                Err(_) => continue,
            };
            if is_link(&child) || kept_by_identity.covers(&path, &folder, Some((identity, names))) {
                continue;
            }
            if protected.iter().any(|kept| kept.starts_with(&path)) {
                split.push((path, child));
                continue;
            }
            given += 1;
            if given > RULES_MAX {
                return Err(Unconfined::TooManyRules(path));
            }
            give(&path, child, access)?;
        }
        give(&folder, opened, AccessFs::ReadDir.into())?;
    }
    Ok(())
}

fn is_link(opened: &OwnedFd) -> bool {
    fstat(opened).map_or(true, |found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
}

/// Adds one rule for what was opened.
fn rule(
    ruleset: RulesetCreated,
    opened: OwnedFd,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Unconfined> {
    let Ok(found) = fstat(&opened) else { return Ok(ruleset) };
    let is_folder = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
    let access = if is_folder { access } else { access & AccessFs::from_file(ABI_TESTED) };
    if access.is_empty() { Ok(ruleset) } else { Ok(ruleset.add_rule(PathBeneath::new(opened, access))?) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn granted(root: &Path, protected: &[&str]) -> Vec<(String, bool)> {
        let protected: Vec<PathBuf> = protected.iter().map(|name| root.join(name)).collect();
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let mut paths = Vec::new();
        walk(root, &protected, read, &mut |path, _, access| {
            let relative = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            paths.push((relative, access.contains(AccessFs::ReadFile)));
            Ok(())
        })
        .unwrap();
        paths.sort();
        paths
    }

    #[test]
    fn siblings_are_granted_in_place_of_what_holds_something_protected() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["a/b/secret", "a/c", "d"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        fs::write(root.join("file"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", root.join("link")).unwrap();
        let row = |name: &str, read| (name.to_owned(), read);
        assert_eq!(granted(root, &[]), [row("", true)]);
        assert_eq!(granted(root, &["nowhere/at/all"]).len(), 4);
        assert_eq!(
            granted(root, &["a/b/secret"]),
            [
                row("", false),
                row("a", false),
                row("a/b", false),
                row("a/c", true),
                row("d", true),
                row("file", true)
            ]
        );
        assert_eq!(granted(root, &["a", "file"]), [row("", false), row("d", true)]);
        assert_eq!(granted(root, &[""]), []);
    }

    #[test]
    fn an_entry_swapped_for_a_link_grants_nothing_of_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("kept")).unwrap();
        fs::create_dir(root.join("entry")).unwrap();
        let swapped = std::sync::atomic::AtomicBool::new(false);
        let mut given = Vec::new();
        walk(root, &[root.join("kept")], AccessFs::ReadFile.into(), &mut |path, opened, _| {
            // The swap comes after the entry was opened and before the rule is made.
            if path.ends_with("entry") && !swapped.swap(true, std::sync::atomic::Ordering::SeqCst) {
                fs::remove_dir(root.join("entry")).unwrap();
                std::os::unix::fs::symlink("/etc", root.join("entry")).unwrap();
            }
            given.push((fstat(&opened).unwrap().st_ino, is_link(&opened)));
            Ok(())
        })
        .unwrap();
        use std::os::unix::fs::MetadataExt as _;
        let etc = fs::metadata("/etc").unwrap().ino();
        assert!(given.iter().all(|(inode, link)| *inode != etc && !link), "{given:?}");
    }
}
