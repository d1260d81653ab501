//! What the program may not ask of the kernel, enforced by seccomp: what Landlock doesn't mediate.
//!
//! - sockets of every family, and every road to one (`io_uring`);
//! - changes to a file's mode, owner, times or attributes, which Landlock lets pass;
//! - leaving the process group, so that one signal to the group reaches everything;
//! - looking into or steering other processes; namespaces and mounts; keys; the kernel itself; the clock.
//!
//! A refused call fails with `EPERM`, and the program says so in its own words. `clone3` hides its flags
//! from the filter, so it fails with `ENOSYS` and the C library falls back to `clone`, whose flags are
//! looked at.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter, sock_filter,
};

/// Refused whatever the arguments are.
const REFUSED: &[libc::c_long] = &[
    // Sockets. `socketpair` too: a datagram one can send to any path.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Files' metadata, and what Landlock before its third version doesn't mediate.
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    SYS_SETXATTRAT,
    SYS_REMOVEXATTRAT,
    SYS_FILE_SETATTR,
    libc::SYS_truncate,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_fanotify_init,
    // The process group.
    libc::SYS_setsid,
    libc::SYS_setpgid,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    // Namespaces and mounts.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    // Keys.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // The kernel and the machine.
    libc::SYS_bpf,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_personality,
];

/// What only some machines have.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] = &[
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    libc::SYS_vserver,
];
/// What only some machines have.
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[];

// Newer than the C library's list; the same numbers on every machine.
const SYS_SETXATTRAT: libc::c_long = 463;
const SYS_REMOVEXATTRAT: libc::c_long = 466;
const SYS_FILE_SETATTR: libc::c_long = 469;

/// Refused for these flags of `clone`: each makes a namespace.
const CLONE_NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// Requests of `ioctl` that type into a terminal, or change a file's attributes through a descriptor
/// that is open for reading: TIOCSTI, TIOCLINUX, FS_IOC_SETFLAGS, FS_IOC32_SETFLAGS, FS_IOC_SETVERSION,
/// FS_IOC_FSSETXATTR.
const IOCTLS_REFUSED: &[u64] = &[0x5412, 0x541c, 0x4008_6602, 0x4004_6602, 0x4008_7602, 0x401c_5820];

/// Why the filter isn't in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfiltered {
    /// The filter couldn't be made, or the kernel doesn't take it.
    #[error("seccomp: {0}")]
    Filter(String),
}

/// Whether the kernel filters calls.
#[expect(unsafe_code, reason = "the system call has no safe form")]
pub(super) fn is_available() -> bool {
    // SAFETY: takes no pointer and changes nothing.
    unsafe { libc::prctl(libc::PR_GET_SECCOMP) >= 0 }
}

/// Filters this thread's calls for good, and those of everything it starts.
pub(super) fn filter() -> Result<(), Unfiltered> {
    let fail = |error: &dyn std::fmt::Display| Unfiltered::Filter(error.to_string());
    for program in programs().map_err(|e| fail(&e))? {
        apply_filter(&program).map_err(|e| fail(&e))?;
    }
    Ok(())
}

/// The filters, in the order in which they are to be applied.
fn programs() -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let target = TargetArch::try_from(std::env::consts::ARCH)?;
    let filter = |rules, errno: i32| -> Result<BpfProgram, seccompiler::BackendError> {
        let refuse = SeccompAction::Errno(errno.unsigned_abs());
        SeccompFilter::new(rules, SeccompAction::Allow, refuse, target)?.try_into()
    };
    let clone3 = filter(BTreeMap::from([(libc::SYS_clone3, vec![])]), libc::ENOSYS)?;
    Ok(vec![foreign_numbers(), clone3, filter(rules()?, libc::EPERM)?])
}

fn rules() -> Result<BTreeMap<i64, Vec<SeccompRule>>, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().chain(REFUSED_HERE).map(|&number| (number, vec![])).collect();
    let any_of = |bit| one(0, SeccompCmpOp::MaskedEq(bit), bit);
    let namespaces = (0..u64::BITS).map(|n| 1 << n).filter(|bit| CLONE_NAMESPACES & bit != 0);
    rules.insert(libc::SYS_clone, namespaces.map(any_of).collect::<Result<_, _>>()?);
    let requests = IOCTLS_REFUSED.iter().map(|&request| one(1, SeccompCmpOp::Eq, request));
    rules.insert(libc::SYS_ioctl, requests.collect::<Result<_, _>>()?);
    Ok(rules)
}

/// The low half of one argument decides: the high half of `clone`'s flags and of a request isn't used.
fn one(argument: u8, compare: SeccompCmpOp, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)?])
}

/// Refuses the second numbering (x32) that some kernels offer on the same architecture, through which
/// every rule could be walked around: numbers from 2³⁰ fail with `ENOSYS`.
fn foreign_numbers() -> BpfProgram {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    let refuse = u32::from(SeccompAction::Errno(libc::ENOSYS.unsigned_abs()));
    vec![
        sock_filter { code: LOAD_WORD, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_AT_LEAST, jt: 0, jf: 1, k: 0x4000_0000 },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: refuse },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: SeccompAction::Allow.into() },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_can_be_made_here() {
        let programs = programs().unwrap();
        assert_eq!(programs.len(), 3);
        assert!(programs.iter().all(|program| program.len() < 4096), "the kernel's limit");
    }

    #[test]
    fn no_call_is_listed_twice() {
        let listed = REFUSED.len() + REFUSED_HERE.len();
        assert_eq!(rules().unwrap().len(), listed + 2, "and clone and ioctl");
    }
}
