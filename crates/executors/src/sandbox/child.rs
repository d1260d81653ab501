//! The last steps before the program: each takes something away, and the order matters.

use std::{convert::Infallible, io, os::unix::process::CommandExt, path::Path, process::Command};

use rustix::{
    process::{
        Gid, Pid, Resource, Rlimit, Signal, Uid, getppid, set_parent_process_death_signal, setpgid, setrlimit,
    },
    thread::{
        CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs, set_thread_groups,
        set_thread_res_gid, set_thread_res_uid,
    },
};

use super::{
    filesystem, syscalls,
    wire::{Obstacle, Report, Spec, User},
};

/// Where programs are looked for. Fixed: the service's environment doesn't steer it.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Descriptors that one process may have open.
const DESCRIPTORS_MAX: u64 = 256;

/// Bytes of address space that one process may take.
const ADDRESS_SPACE_MAX: u64 = 4 << 30;

/// Processes of a user that runs nothing else.
const PROCESSES_MAX_OWN_USER: u64 = 64;

/// Processes of a user that has others too; the count includes them. The superuser isn't held to it.
const PROCESSES_MAX: u64 = 4096;

/// A step that failed, and why.
pub(super) struct Stopped {
    obstacle: Obstacle,
    message: String,
}

impl Stopped {
    fn setup(step: &str, error: impl Into<io::Error>) -> Self {
        let error: io::Error = error.into();
        Self { obstacle: Obstacle::Setup, message: format!("{step}: {error}") }
    }
}

impl From<Stopped> for Report {
    fn from(stopped: Stopped) -> Self {
        Self::Refused { obstacle: stopped.obstacle, message: stopped.message }
    }
}

/// Becomes the program. `confined` hears the level just before; returns only if a step fails.
pub(super) fn become_program(
    spec: &Spec,
    supervisor: Pid,
    confined: impl FnOnce(&Report),
) -> Result<Infallible, Stopped> {
    setpgid(None, None).map_err(|e| Stopped::setup("process group", e))?;
    limit(spec)?;
    if let Some(user) = spec.user {
        switch(user).map_err(|e| Stopped::setup("user", e))?;
    }
    // After the switch, which clears it. A supervisor that died before can't be seen any more.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| Stopped::setup("parent's death", e))?;
    if getppid() != Some(supervisor) {
        return Err(Stopped::setup("parent's death", io::ErrorKind::BrokenPipe));
    }
    set_no_new_privs(true).map_err(|e| Stopped::setup("privileges", e))?;
    let home = spec.roots.first().map_or(Path::new("/"), |root| root.as_path());
    rustix::process::chdir(home).map_err(|e| Stopped::setup("working folder", e))?;
    let level = confine(spec)?;
    confined(&Report::Confined { level });
    let error = command(spec, home).exec();
    let program = spec.argv.first().map_or("", String::as_str);
    Err(Stopped { obstacle: Obstacle::Program, message: format!("'{program}' can't be started: {error}") })
}

fn limit(spec: &Spec) -> Result<(), Stopped> {
    let processes = if spec.user.is_some() { PROCESSES_MAX_OWN_USER } else { PROCESSES_MAX };
    for (resource, wanted) in [
        (Resource::Core, 0),
        (Resource::Cpu, spec.cpu_seconds),
        // No file may grow by a byte, also where Landlock is absent.
        (Resource::Fsize, 0),
        (Resource::Nofile, DESCRIPTORS_MAX),
        (Resource::Nproc, processes),
        (Resource::As, ADDRESS_SPACE_MAX),
    ] {
        // Never above what the service itself has.
        let ceiling = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Some(wanted.min(ceiling));
        setrlimit(resource, Rlimit { current: limit, maximum: limit })
            .map_err(|e| Stopped::setup("limits", e))?;
    }
    Ok(())
}

fn switch(user: User) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

/// Turns on what the kernel has; says which level that is.
fn confine(spec: &Spec) -> Result<String, Stopped> {
    let missing = |what: String| Stopped {
        obstacle: Obstacle::Sandbox,
        message: format!("{what}; the operator's policy can allow commands without it"),
    };
    let landlock = match filesystem::confine(&spec.roots, &spec.protected) {
        Ok(abi) => Some(abi),
        Err(filesystem::Unconfined::Unavailable) if spec.allow_bare => None,
        Err(error) => return Err(missing(error.to_string())),
    };
    let empty = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: empty, permitted: empty, inheritable: empty })
        .map_err(|e| Stopped::setup("capabilities", e))?;
    let seccomp = match syscalls::filter() {
        Ok(()) => true,
        Err(_) if spec.allow_bare => false,
        Err(error) => return Err(missing(error.to_string())),
    };
    Ok(super::level_name(landlock, seccomp))
}

#[expect(clippy::disallowed_methods, reason = "this is the restricted stage")]
fn command(spec: &Spec, home: &Path) -> Command {
    let mut command = Command::new(&spec.program);
    if let Some((name, arguments)) = spec.argv.split_first() {
        command.arg0(name).args(arguments);
    }
    command.env_clear().env("PATH", PATH).env("LANG", "C.UTF-8").env("HOME", home).env("PWD", home);
    if let Some(zone) = &spec.time_zone {
        command.env("TZ", zone);
    }
    command
}
