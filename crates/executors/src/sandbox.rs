//! Runs one program, confined: the service's side. The other side is [`stage_main`].
//!
//! The service never forks or restricts itself. It starts its own binary again as the *stage*
//! (`sandbox/stage.rs`), which sets session, limits, user, Landlock and seccomp in the program's process and
//! then watches over it. What is refused, by which mechanism, is written in `sandbox/filesystem.rs` and
//! `sandbox/syscalls.rs`.

mod capture;
mod child;
mod filesystem;
mod stage;
mod syscalls;
mod wire;

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    path::Path,
    process::Stdio,
    sync::OnceLock,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use steadyhand_core::failure::{Effect, Failure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::{Child, ChildStderr, ChildStdout, Command},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    capture::Capture,
    wire::{Obstacle, REPORT_BYTES_MAX, Report},
};
pub use self::{
    capture::{OUTPUT_CHARS_MAX, Shown},
    child::PATH,
    stage::{STAGE_ARGUMENT, stage_main},
    wire::{Spec, User},
};

/// How long the stage may take to clear up before it is killed too.
const CLEAR_UP_MAX: Duration = Duration::from_secs(2);

/// Bytes of reports read at once.
const CHUNK_BYTES: usize = 1024;

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
    if let Some(stopped) = stopped {
        return Err(stopped.failure(limit).with_partial(output.partial()));
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
    fn failure(&self, limit: Duration) -> Failure {
        match self {
            Self::TimedOut => {
                let text = format!("Command timed out after {}ms", limit.as_millis());
                Failure::timeout(text, Effect::Unknown)
            }
            Self::Cancelled => Failure::cancelled("the command was stopped", Effect::Unknown),
        }
    }
}

/// The stage's process and the link to it. Dropped early, it closes the link and sees to the rest.
struct Running {
    /// `None` once its end was awaited.
    stage: Option<Child>,
    /// While it is open the program may run.
    link: Option<UnixStream>,
    dialogue: Dialogue,
}

struct Pipes(ChildStdout, ChildStderr);

impl Running {
    fn start(stage: &Path) -> io::Result<(Self, Pipes)> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let link = UnixStream::from_std(ours)?;
        let mut stage = Command::new(stage)
            .arg(STAGE_ARGUMENT)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdout = stage.stdout.take().expect("it was asked for");
        let stderr = stage.stderr.take().expect("it was asked for");
        Ok((
            Self { stage: Some(stage), link: Some(link), dialogue: Dialogue::default() },
            Pipes(stdout, stderr),
        ))
    }

    /// Has the stage run `spec`, until it says how that ended or is gone.
    async fn follow(&mut self, spec: &Spec) {
        let Some(link) = &mut self.link else { return };
        self.dialogue.hold(link, spec).await;
        if self.dialogue.last.is_none() {
            // The program died with the stage; what it had started didn't.
            kill_group(self.dialogue.group());
        }
    }

    /// Closes the link, which ends the program, after hearing what the stage has said by now.
    fn hang_up(&mut self) {
        if let Some(link) = self.link.take() {
            self.dialogue.catch_up(&link);
        }
    }

    /// Ends whatever still runs and waits until that is so, taking the output that is still there.
    async fn end(&mut self, output: &mut Output, pipes: &mut Pipes) {
        self.hang_up();
        let Some(stage) = &mut self.stage else { return };
        let group = self.dialogue.group();
        let (_, drained) = tokio::join!(reap(stage, group), timeout(CLEAR_UP_MAX, output.drain(pipes)));
        if drained.is_err() {
            // Something out of reach holds the pipes; what it says is of no concern any more.
            kill_group(group);
        }
        self.stage = None;
    }

    /// How it ended; `None`: it started, and then the stage went silent.
    fn outcome(&self) -> Result<Option<Ended>, Failure> {
        self.dialogue.outcome()
    }
}

/// Waits for the stage's own end; if that takes too long, kills it and the program's group.
async fn reap(stage: &mut Child, group: Option<Pid>) {
    if timeout(CLEAR_UP_MAX, stage.wait()).await.is_err() {
        let _ = stage.start_kill();
        kill_group(group);
        let _ = stage.wait().await;
    }
}

fn kill_group(group: Option<Pid>) {
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.hang_up();
        if let (Some(mut stage), Ok(runtime)) = (self.stage.take(), tokio::runtime::Handle::try_current()) {
            let group = self.dialogue.group();
            runtime.spawn(async move { reap(&mut stage, group).await });
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

struct Ended {
    code: i32,
    pid: u32,
    level: String,
}

/// What the stage has said so far.
#[derive(Default)]
struct Dialogue {
    buffer: Vec<u8>,
    forked: Option<u32>,
    started: Option<(u32, String)>,
    last: Option<Report>,
}

impl Dialogue {
    /// Sends the specification and listens until the last report, or until the stage is gone.
    async fn hold(&mut self, link: &mut UnixStream, spec: &Spec) {
        if link.write_all(&spec.frame()).await.is_err() {
            return;
        }
        let mut chunk = [0; CHUNK_BYTES];
        while let Ok(read @ 1..) = link.read(&mut chunk).await {
            self.hear(&chunk[..read]);
            if self.last.is_some() || self.buffer.len() > REPORT_BYTES_MAX {
                return;
            }
        }
    }

    /// Hears what has arrived, without waiting for more.
    fn catch_up(&mut self, link: &UnixStream) {
        let mut chunk = [0; CHUNK_BYTES];
        while let Ok(read @ 1..) = link.try_read(&mut chunk) {
            self.hear(&chunk[..read]);
            if self.buffer.len() > REPORT_BYTES_MAX {
                return;
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        while let Some(Ok(report)) = Report::take(&mut self.buffer) {
            match report {
                Report::Confined { .. } => {}
                Report::Forked { pid } => self.forked = Some(pid),
                Report::Started { pid, level } => self.started = Some((pid, level)),
                last @ (Report::Refused { .. } | Report::Ended { .. }) => self.last = Some(last),
            }
        }
    }

    /// The program's process group, known before it runs.
    fn group(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.forked?).ok().filter(|pid| *pid > 1)?)
    }

    fn outcome(&self) -> Result<Option<Ended>, Failure> {
        match (self.started.clone(), self.last.clone()) {
            (Some((pid, level)), Some(Report::Ended { code })) => Ok(Some(Ended { code, pid, level })),
            (None, Some(Report::Refused { obstacle, message })) => Err(match obstacle {
                Obstacle::Sandbox => Failure::denied(message).with_code("SANDBOX_UNAVAILABLE"),
                Obstacle::Setup => Failure::not_reached(message),
                Obstacle::Program => Failure::error(message),
            }),
            (None, _) => Err(Failure::not_reached("the restricted stage gave no answer")),
            (Some(_), _) => Ok(None),
        }
    }
}
