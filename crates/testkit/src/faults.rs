//! Faults of the disk, as the kernel itself would refuse: a filter on system calls, for a whole process.
//!
//! A filter can't be taken off again, so it belongs into a child process that the test starts.

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// What the disk refuses from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// `fsync` and `fdatasync` fail with an I/O error.
    SyncFails,
    /// Nothing can be written to a place in a file, or a file made longer: the disk is full. Streams such
    /// as the test's own output still work.
    Full,
}

/// Lets the kernel refuse for all threads of this process, from now on and for good.
///
/// # Errors
/// The filter can't be made or installed.
pub fn refuse(disk: Disk) -> Result<(), seccompiler::Error> {
    let (calls, error): (&[i64], i32) = match disk {
        Disk::SyncFails => (&[libc::SYS_fsync, libc::SYS_fdatasync], libc::EIO),
        Disk::Full => {
            (&[libc::SYS_pwrite64, libc::SYS_pwritev, libc::SYS_ftruncate, libc::SYS_fallocate], libc::ENOSPC)
        }
    };
    let rules: BTreeMap<_, _> = calls.iter().map(|call| (*call, Vec::new())).collect();
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let refused = SeccompAction::Errno(error.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, arch)?;
    seccompiler::apply_filter_all_threads(&BpfProgram::try_from(filter)?)
}
