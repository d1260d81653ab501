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
    fs,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};

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
    ruleset = rule(ruleset, Path::new("/dev/null"), AccessFs::WriteFile.into())?;
    let status = ruleset.restrict_self()?;
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if status.ruleset != RulesetStatus::NotEnforced => {
            Ok(effective_abi.min(ABI_TESTED) as u32)
        }
        _ => Err(Unconfined::Unavailable),
    }
}

fn grant(
    mut ruleset: RulesetCreated,
    path: &Path,
    protected: &[PathBuf],
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Unconfined> {
    for (path, access) in grants(path, protected, access)? {
        ruleset = rule(ruleset, &path, access)?;
    }
    Ok(ruleset)
}

/// The rules that grant `path` without anything protected: the path itself, or what lies beside the
/// protected paths in it.
fn grants(
    path: &Path,
    protected: &[PathBuf],
    access: BitFlags<AccessFs>,
) -> Result<Vec<(PathBuf, BitFlags<AccessFs>)>, Unconfined> {
    let mut granted = Vec::new();
    let mut open = vec![path.to_owned()];
    while let Some(next) = open.pop() {
        if protected.iter().any(|kept| next.starts_with(kept)) {
            continue;
        }
        if !protected.iter().any(|kept| kept.starts_with(&next)) {
            granted.push((next, access));
            continue;
        }
        let Ok(entries) = fs::read_dir(&next) else { continue };
        open.extend(entries.flatten().map(|entry| entry.path()).filter(|entry| !entry.is_symlink()));
        if granted.len() + open.len() > RULES_MAX {
            return Err(Unconfined::TooManyRules(path.to_owned()));
        }
        granted.push((next, AccessFs::ReadDir.into()));
    }
    Ok(granted)
}

/// Adds one rule; what isn't there or can't be opened gets none.
fn rule(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Unconfined> {
    let (Ok(opened), Ok(metadata)) = (PathFd::new(path), fs::metadata(path)) else { return Ok(ruleset) };
    let access = if metadata.is_dir() { access } else { access & AccessFs::from_file(ABI_TESTED) };
    if access.is_empty() { Ok(ruleset) } else { Ok(ruleset.add_rule(PathBeneath::new(opened, access))?) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(root: &Path, protected: &[&str]) -> Vec<(String, bool)> {
        let protected: Vec<PathBuf> = protected.iter().map(|name| root.join(name)).collect();
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let mut paths: Vec<(String, bool)> = grants(root, &protected, read)
            .unwrap()
            .into_iter()
            .map(|(path, access)| {
                let relative = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                (relative, access.contains(AccessFs::ReadFile))
            })
            .collect();
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
}
