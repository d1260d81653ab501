//! Runs one program, confined: the service's side. The other side is [`stage_main`].
//!
//! The service never forks or restricts itself. It starts its own binary again as the *stage*
//! (`sandbox/stage.rs`), which sets session, limits, user, Landlock and seccomp in the program's process and
//! then watches over it. What is refused, by which mechanism, is written in `sandbox/filesystem.rs` and
//! `sandbox/syscalls.rs`.

mod capture;
mod child;
mod dialogue;
mod filesystem;
mod running;
mod stage;
mod syscalls;
mod wire;

use std::{path::Path, sync::OnceLock, time::Duration};

use serde_json::{Value, json};
use steadyhand_core::failure::{Effect, Failure};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::{
    capture::Capture,
    dialogue::Ended,
    running::{Pipes, Running},
};
pub use self::{
    capture::{OUTPUT_CHARS_MAX, Shown},
    child::PATH,
    stage::{STAGE_ARGUMENT, stage_main},
    wire::{Spec, User},
};

/// A program that ran to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code, or 128 + the signal that ended it.
    pub code: i32,
    /// The head of its standard output.
    pub stdout: Shown,
    /// The head of its standard error.
    pub stderr: Shown,
    /// From the start of the stage to the end of everything.
    pub elapsed: Duration,
    /// Its process.
    pub pid: u32,
    /// How it was confined, see [`level`].
    pub level: String,
}

/// How a program is confined on this machine: `landlock-abi7+seccomp` with the kernel's number, `seccomp`
/// or `landlock-abi7` where one is missing, `bare` where both are. Asked of the kernel once.
#[must_use]
pub fn level() -> &'static str {
    static LEVEL: OnceLock<String> = OnceLock::new();
    LEVEL.get_or_init(|| level_name(filesystem::abi(), syscalls::is_available()))
}

/// Whether [`level`] is the full one, without which policy must allow a command to run.
#[must_use]
pub fn is_full() -> bool {
    filesystem::abi().is_some() && syscalls::is_available()
}

fn level_name(landlock: Option<u32>, seccomp: bool) -> String {
    match (landlock, seccomp) {
        (Some(abi), true) => format!("landlock-abi{abi}+seccomp"),
        (Some(abi), false) => format!("landlock-abi{abi}"),
        (None, true) => "seccomp".to_owned(),
        (None, false) => "bare".to_owned(),
    }
}

/// Runs what `spec` says through the binary `stage`, for at most `limit`.
///
/// When this returns, the program and everything it started have ended. Dropped before, it leaves that to
/// the stage, which notices at once.
///
/// # Errors
/// [`Failure::not_reached`] when the stage can't be started or doesn't answer; [`Failure::denied`] when the
/// kernel can't confine and `spec` insists; [`Failure::error`] when the program can't be started;
/// [`Failure::timeout`] and [`Failure::cancelled`] with the output so far.
pub async fn run(
    stage: &Path,
    spec: &Spec,
    limit: Duration,
    cancel: &CancellationToken,
) -> Result<Ran, Failure> {
    if cancel.is_cancelled() {
        return Err(Stopped::Cancelled.failure(limit, Effect::None));
    }
    let began = Instant::now();
    let (mut running, mut pipes) = Running::start(stage)
        .map_err(|e| Failure::not_reached(format!("the restricted stage can't be started: {e}")))?;
    let mut output = Output::default();
    let stopped = tokio::select! {
        biased;
        () = cancel.cancelled() => Some(Stopped::Cancelled),
        () = sleep(limit) => Some(Stopped::TimedOut),
        _ = async { tokio::join!(running.follow(spec), output.drain(&mut pipes)) } => None,
    };
    running.end(&mut output, &mut pipes).await;
    // What had come to its end by then has an outcome of its own.
    if let Some(stopped) = stopped.filter(|_| !running.has_ended()) {
        return Err(stopped.failure(limit, Effect::Unknown).with_partial(output.partial()));
    }
    let Some(Ended { code, pid, level }) = running.outcome()? else {
        let text = "the restricted stage ended before the program";
        return Err(Failure::failed_midway(text).with_partial(output.partial()));
    };
    let Output { stdout, stderr } = &output;
    Ok(Ran { code, stdout: stdout.shown(), stderr: stderr.shown(), elapsed: began.elapsed(), pid, level })
}

enum Stopped {
    TimedOut,
    Cancelled,
}

impl Stopped {
    fn failure(&self, limit: Duration, effect: Effect) -> Failure {
        match self {
            Self::TimedOut => {
                let text = format!("Command timed out after {}ms", limit.as_millis());
                Failure::timeout(text, effect)
            }
            Self::Cancelled => Failure::cancelled("the command was stopped", effect),
        }
    }
}

#[derive(Default)]
struct Output {
    stdout: Capture,
    stderr: Capture,
}

impl Output {
    async fn drain(&mut self, pipes: &mut Pipes) {
        tokio::join!(self.stdout.drain(&mut pipes.0), self.stderr.drain(&mut pipes.1));
    }

    fn partial(&self) -> Value {
        let (stdout, stderr) = (self.stdout.shown(), self.stderr.shown());
        json!({
            "stdout": stdout.text,
            "stderr": stderr.text,
            "stdout_truncated": stdout.truncated,
            "stderr_truncated": stderr.truncated,
            "stdout_bytes": stdout.bytes,
            "stderr_bytes": stderr.bytes,
        })
    }
}
