//! The stage's process, from the service's side: started, followed, and ended whatever happens.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
    path::Path,
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use steadyhand_core::failure::Failure;
use tokio::{
    net::UnixStream,
    process::{Child, ChildStderr, ChildStdout, Command},
    time::timeout,
};

use super::{
    Output, STAGE_ARGUMENT, Spec,
    dialogue::{Dialogue, Ended},
};

/// How long the stage may take to clear up before it is killed too.
const CLEAR_UP_MAX: Duration = Duration::from_secs(2);

/// The stage's process and the link to it. Dropped early, it closes the link and sees to the rest.
pub(super) struct Running {
    /// `None` once its end was awaited.
    stage: Option<Child>,
    /// While it is open the program may run.
    link: Option<UnixStream>,
    dialogue: Dialogue,
}

/// Its standard output and standard error, which become the program's.
pub(super) struct Pipes(pub(super) ChildStdout, pub(super) ChildStderr);

impl Running {
    /// Starts the binary `stage` as the stage. It waits for a specification.
    pub(super) fn start(stage: &Path) -> io::Result<(Self, Pipes)> {
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
    pub(super) async fn follow(&mut self, spec: &Spec) {
        let Some(link) = &mut self.link else { return };
        self.dialogue.hold(link, spec).await;
        if !self.dialogue.has_ended() {
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
    pub(super) async fn end(&mut self, output: &mut Output, pipes: &mut Pipes) {
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

    /// Whether the stage has said its last word.
    pub(super) fn has_ended(&self) -> bool {
        self.dialogue.has_ended()
    }

    /// How it ended; `None`: it started, and then the stage went silent.
    pub(super) fn outcome(&self) -> Result<Option<Ended>, Failure> {
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
