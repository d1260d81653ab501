//! Each thing that is looked at.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use steadyhand_core::time::{Clock as _, Timestamp};
use steadyhand_gateway::auth::tokens::{self, TokenError};

use super::Finding;
use crate::{
    config::{Auth, Config, Display},
    stack::Stack,
    surroundings::Surroundings,
    system::SystemClock,
};

/// Less free space than this fails, in bytes.
const DISK_BYTES_MIN: u64 = 64 << 20;
/// Less free space than this warns, in bytes.
const DISK_BYTES_LOW: u64 = 1 << 30;
/// No clock is right that says it is earlier: 2026-01-01T00:00:00Z.
const EARLIEST: Timestamp = Timestamp(1_767_225_600_000_000);

/// Offsets from the base of the ports that this build listens on: gateway, executor, supervisor.
const OFFSETS: [u16; 3] = [0, 40, 50];

/// What others may do with a file that decides: read it.
const OTHERS_WRITE: u32 = 0o022;

pub(super) fn policy(config: &Config) -> Finding {
    for file in [&config.places.config_file, &config.places.policy_file] {
        if fs::metadata(file).is_ok_and(|meta| meta.mode() & OTHERS_WRITE != 0) {
            let fact = format!("other users can change {}, and so what is allowed", file.display());
            return Finding::fail("policy", fact, format!("`chmod go-w {}`", file.display()));
        }
    }
    match config.policy() {
        Ok(policy) => Finding::ok("policy", format!("{} rules", policy.rule_count())),
        Err(fault) => Finding::of("policy", fault),
    }
}

pub(super) fn data_folder(config: &Config) -> Finding {
    own_folder("data folder", &config.places.data_dir, 0o077, "700")
}

pub(super) fn root(root: &Path) -> Finding {
    own_folder("root", root, 0o002, "o-w")
}

/// A folder that must be there or be makeable, writable by us, and not by `others`.
fn own_folder(subject: &'static str, folder: &Path, others: u32, mode: &str) -> Finding {
    let shown = folder.display();
    let meta = match fs::metadata(folder) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return to_be_made(subject, folder),
        Err(error) => {
            return Finding::fail(
                subject,
                format!("{shown}: {error}"),
                "make it reachable, or name another folder",
            );
        }
    };
    if !meta.is_dir() {
        return Finding::fail(
            subject,
            format!("{shown} is no folder"),
            "move it away, or name another folder",
        );
    }
    if !writable(folder) {
        let advice = format!("`chown $(id -u) {shown}`, or name another folder");
        return Finding::fail(subject, format!("{shown} can't be written to"), advice);
    }
    if meta.mode() & others != 0 {
        let fact = format!("{shown} is open to other users (mode {:o})", meta.mode() & 0o777);
        return Finding::warn(subject, fact, format!("`chmod {mode} {shown}`"));
    }
    Finding::ok(subject, shown.to_string())
}

fn to_be_made(subject: &'static str, folder: &Path) -> Finding {
    let shown = folder.display();
    let parent = folder.ancestors().skip(1).find(|p| p.exists());
    match parent.filter(|p| writable(p)) {
        Some(_) => Finding::ok(subject, format!("{shown} (will be made at the first start)")),
        None => {
            let fact = format!("{shown} isn't there and can't be made");
            Finding::fail(subject, fact, "make it, or name another folder")
        }
    }
}

fn writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

pub(super) fn tokens(config: &Config) -> Finding {
    if config.auth == Auth::Off {
        let advice = "any web page and every user of this machine can act: turn auth on but for tests";
        return Finding::warn("tokens", "auth is off", advice);
    }
    let folder = config.places.tokens();
    for name in ["operator", "agent", tokens::SERVICE] {
        match tokens::read(&folder, name) {
            Ok(_) => {}
            Err(TokenError::Unknown(_)) => {
                return Finding::ok("tokens", "missing ones will be made at the next start");
            }
            Err(error) => return Finding::fail("tokens", error.to_string(), "see `steadyhand token list`"),
        }
    }
    Finding::ok("tokens", folder.display().to_string())
}

pub(super) fn ports(config: &Config) -> Finding {
    let ports = OFFSETS.map(|offset| config.port_base + offset);
    match Stack::read(&config.places.stack_file()) {
        Ok(Some(stack)) if stack.runs() => {
            return Finding::ok(
                "ports",
                format!("Steadyhand runs at {} (process {})", stack.url(), stack.pid),
            );
        }
        Ok(_) => {}
        Err(fault) => return Finding::of("ports", fault),
    }
    let taken = ports.into_iter().find_map(|port| {
        let error = TcpListener::bind(SocketAddr::new(config.bind, port)).err()?;
        Some((port, error))
    });
    match taken {
        None => {
            let listed = ports.map(|port| port.to_string()).join(", ");
            Finding::ok("ports", format!("{listed} on {} are free", config.bind))
        }
        Some((port, error)) => {
            let advice =
                format!("`ss -ltnp 'sport = :{port}'` shows who has it; or choose others: --port-base 7100");
            Finding::fail("ports", format!("{port} on {} can't be had: {error}", config.bind), advice)
        }
    }
}

pub(super) fn sandbox() -> Finding {
    let level = steadyhand_executors::sandbox::level();
    if steadyhand_executors::sandbox::is_full() {
        return Finding::ok("sandbox", level);
    }
    let fact = format!("the kernel gives `{level}` only, so shell.run is refused");
    let advice = "use a kernel from 5.13 on with Landlock and seccomp; or let commands run without, in \
                  policy.toml: [shell] bare = true";
    Finding::warn("sandbox", fact, advice)
}

pub(super) fn display(config: &Config, around: &Surroundings) -> Finding {
    let own = around.get("DISPLAY");
    match (&config.display, own) {
        (Display::None, _) => Finding::ok("display", "none: desktop actions are off"),
        (Display::Named(name), _) => Finding::ok("display", format!("{name} (as configured)")),
        (Display::Auto, Some(name)) => Finding::ok("display", format!("{name} (of this session)")),
        (Display::Auto, None) if around.has_program("Xvfb") => {
            Finding::ok("display", "none here: a private one can be started with Xvfb")
        }
        (Display::Auto, None) => Finding::warn(
            "display",
            "no display, and Xvfb isn't installed: desktop actions won't work",
            "install it (Debian: `apt install xvfb openbox`), or set `display = \"none\"`",
        ),
    }
}

pub(super) fn disk(config: &Config) -> Finding {
    let there = config.places.data_dir.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    let free = match rustix::fs::statvfs(there) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            return Finding::warn("disk", format!("{}: {error}", there.display()), "look at the mount");
        }
    };
    let fact = format!("{} MiB are free at {}", free >> 20, there.display());
    match free {
        DISK_BYTES_LOW.. => Finding::ok("disk", fact),
        DISK_BYTES_MIN.. => Finding::warn("disk", fact, "make room, or lower retention.journal_gib"),
        _ => Finding::fail("disk", fact, "make room: without it nothing can be recorded, so nothing is done"),
    }
}

pub(super) fn clock() -> Finding {
    let now = SystemClock.now();
    let shown = jiff::Timestamp::from_second(now.0 / 1_000_000).unwrap_or_default().to_string();
    if now < EARLIEST {
        let advice = "set it: approvals and keys expire by it";
        return Finding::fail("clock", format!("it says {shown}, which is in the past"), advice);
    }
    Finding::ok("clock", shown)
}
