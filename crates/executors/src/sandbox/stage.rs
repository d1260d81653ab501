//! The stage: `steadyhand __exec`, a process between the service and the program.
//!
//! It has one thread, so it may fork. It starts the program in a process group of its own and then stays
//! as the parent that everything falls back to (a "subreaper"): a process that detaches itself becomes
//! its child, not init's. When the program ends, or the service's end of the link closes because it
//! wants the program gone or has died itself, the stage kills the group, then whatever is still its
//! child, and says that it's over only when nothing is left. It stays outside the sandbox, so that the
//! program can't signal it.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{Mode, OFlags, open},
    io::fcntl_dupfd_cloexec,
    pipe::{PipeFlags, pipe_with},
    process::{
        Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process,
        kill_process_group, pidfd_open, set_child_subreaper, setpgid, setsid, umask, wait, waitid,
    },
    stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin},
};

use super::{
    child::become_program,
    wire::{Obstacle, REPORT_BYTES_MAX, Report, Spec, tell},
};

/// The argument that makes the binary the stage.
pub const STAGE_ARGUMENT: &str = "__exec";

/// Runs the stage and returns its exit code. To be called first thing in `main`, when the first argument
/// is [`STAGE_ARGUMENT`] and while the process has one thread.
#[must_use]
pub fn stage_main() -> i32 {
    close_inherited();
    let Ok(mut link) = take_link() else { return 1 };
    let Ok(spec) = Spec::read(&mut link) else { return 1 };
    let report = match supervise(&spec, &mut link) {
        Ok(report) => report,
        Err(error) => Report::Refused { obstacle: Obstacle::Setup, message: format!("stage: {error}") },
    };
    tell(&mut link, &report);
    0
}

/// Closes whatever the service left open beside the three standard streams.
#[expect(unsafe_code, reason = "the system call has no safe form")]
fn close_inherited() {
    // SAFETY: the process has just begun and owns no descriptor above 2, so none that is in use is closed.
    // On a kernel without the call nothing is closed; the service opens everything close-on-exec anyway.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}

/// Moves the link out of standard input's place and puts nothing there.
fn take_link() -> io::Result<UnixStream> {
    let link = fcntl_dupfd_cloexec(stdin(), 3)?;
    dup2_stdin(&nothing()?)?;
    Ok(UnixStream::from(link))
}

fn nothing() -> rustix::io::Result<OwnedFd> {
    open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

/// Starts the program, waits for its end or the link's, and clears up.
fn supervise(spec: &Spec, link: &mut UnixStream) -> io::Result<Report> {
    setsid()?;
    umask(Mode::from_raw_mode(0o077));
    set_child_subreaper(Some(getpid()))?;
    let (from_child, to_service) = pipe_with(PipeFlags::CLOEXEC)?;
    let Some(child) = fork(spec, to_service, link)? else { return Ok(Report::Ended { code: 0 }) };
    // Both sides do it, so that it's done whoever comes first; the child may have become the program.
    let _ = setpgid(Some(child), Some(child));
    let quiet = nothing()?;
    dup2_stdout(&quiet)?;
    dup2_stderr(&quiet)?;
    let outcome = follow(child, from_child, link);
    clear_up(child);
    outcome
}

/// Makes the child, which becomes the program or writes why not and ends.
#[expect(unsafe_code, reason = "a process with two halves needs a fork")]
fn fork(spec: &Spec, to_service: OwnedFd, link: &mut UnixStream) -> io::Result<Option<Pid>> {
    let supervisor = getpid();
    // SAFETY: the process has a single thread, so the child's memory is consistent and no lock is held.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            tell(link, &Report::Forked { pid: number(getpid()) });
            let mut pipe = File::from(to_service);
            let Err(stopped) = become_program(spec, supervisor, |report| tell(&mut &pipe, report));
            let _ = pipe.write_all(&Report::from(stopped).line());
            // SAFETY: ends this process at once; nothing of the parent's that was copied is run or flushed.
            unsafe { libc::_exit(126) }
        }
        child => Ok(Pid::from_raw(child)),
    }
}

/// Reports how the program starts and ends.
fn follow(child: Pid, from_child: OwnedFd, link: &mut UnixStream) -> io::Result<Report> {
    let gone = || Report::Refused { obstacle: Obstacle::Setup, message: "the service hung up".to_owned() };
    let mut said = Vec::new();
    let mut from_child = File::from(from_child).take(REPORT_BYTES_MAX as u64);
    while first_ready(from_child.get_ref(), link)? == Ready::Watched {
        let mut chunk = [0; 1024];
        let read = from_child.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        said.extend_from_slice(&chunk[..read]);
    }
    let level = match (Report::take(&mut said), Report::take(&mut said)) {
        (Some(Ok(Report::Confined { level })), None) => level,
        (Some(Ok(refused @ Report::Refused { .. })), _) | (_, Some(Ok(refused))) => return Ok(refused),
        _ => return Ok(gone()),
    };
    tell(link, &Report::Started { pid: number(child), level });
    let watched = pidfd_open(child, PidfdFlags::empty())?;
    if first_ready(&watched, link)? == Ready::Link {
        return Ok(gone());
    }
    // Left unreaped until the group is gone, so that its number can't be given to another.
    let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    let status = waitid(WaitId::Pid(child), ended)?.ok_or(io::ErrorKind::NotFound)?;
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    Ok(Report::Ended { code: status.exit_status().or(signal).unwrap_or(-1) })
}

fn number(process: Pid) -> u32 {
    process.as_raw_nonzero().get().unsigned_abs()
}

#[derive(PartialEq, Eq)]
enum Ready {
    Watched,
    Link,
}

/// Waits for either. The link has nothing more to say, so whatever comes from it is its end.
fn first_ready(watched: &impl AsFd, link: &UnixStream) -> io::Result<Ready> {
    let mut both = [PollFd::new(link, PollFlags::IN), PollFd::new(watched, PollFlags::IN)];
    loop {
        match poll(&mut both, None) {
            Ok(_) if !both[0].revents().is_empty() => return Ok(Ready::Link),
            Ok(_) if !both[1].revents().is_empty() => return Ok(Ready::Watched),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Kills the group, then whatever else has become a child of this process, until there is none.
///
/// The signal to a group is atomic with respect to forks in it, and seccomp keeps the program from
/// leaving the group, so the first call is enough; the rest is for where seccomp is absent.
fn clear_up(child: Pid) {
    let _ = kill_process_group(child, Signal::KILL);
    let _ = kill_process(child, Signal::KILL);
    loop {
        for orphan in children() {
            let _ = kill_process(orphan, Signal::KILL);
        }
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// This process's children, those that fell back to it included.
fn children() -> Vec<Pid> {
    let own = getpid().as_raw_nonzero();
    let listed = std::fs::read_to_string(format!("/proc/self/task/{own}/children")).unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}
