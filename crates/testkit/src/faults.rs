//! Faults of the disk, as the kernel itself would refuse: a filter on system calls, for a whole process.
//!
//! A filter can't be taken off again, so it belongs into a child process that the test starts.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// What the disk refuses from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// `fsync` and `fdatasync` fail with an I/O error.
    SyncFails,
    /// Writing to a file, or making it longer, finds no space. The standard streams still work, and so do
    /// the eight-byte writes by which threads wake each other.
    Full,
}

/// Lets the kernel refuse for all threads of this process, from now on and for good.
///
/// # Errors
/// The filter can't be made or installed.
pub fn refuse(disk: Disk) -> Result<(), seccompiler::Error> {
    let (rules, error) = match disk {
        Disk::SyncFails => (always(&[libc::SYS_fsync, libc::SYS_fdatasync]), libc::EIO),
        Disk::Full => {
            let placed = [libc::SYS_pwrite64, libc::SYS_pwritev, libc::SYS_ftruncate, libc::SYS_fallocate];
            let mut rules = always(&placed);
            let above = |argument, bound| {
                SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Gt, bound)
            };
            let to_a_file = SeccompRule::new(vec![above(0, 2)?, above(2, 8)?])?;
            rules.insert(libc::SYS_write, vec![to_a_file]);
            (rules, libc::ENOSPC)
        }
    };
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let refused = SeccompAction::Errno(error.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, arch)?;
    seccompiler::apply_filter_all_threads(&BpfProgram::try_from(filter)?)
}

/// Rules that match these calls, whatever their arguments.
fn always(calls: &[i64]) -> BTreeMap<i64, Vec<SeccompRule>> {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}
