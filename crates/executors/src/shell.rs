//! `shell.run`: one program with its arguments, read-only by intent, confined by the kernel, never by way
//! of a shell.
//!
//! The road of a command: [`split`] into words, [`allow`] decides from the words, `operands` finds program
//! and files, [`crate::sandbox`] runs it.

pub mod allow;
mod operands;
mod rules;
pub mod split;

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Value, json};
use steadyhand_core::{
    executor::{Attempt, Executed, Prepared, Probe, SideEffect, Verdict, Verification},
    failure::Failure,
    time::millis,
};
use tokio_util::sync::CancellationToken;

use self::operands::{Folders, Located};
use crate::sandbox::{self, Ran, Spec, User};

/// The longest time that a command may be given (contract 5.3).
pub const TIMEOUT_MAX: Duration = Duration::from_millis(15_000);

/// Where commands run, and through what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellConfig {
    /// The folders they may read; the first is the working folder.
    pub roots: Vec<PathBuf>,
    /// What they may never read, also under a root.
    pub protected: Vec<PathBuf>,
    /// The binary that becomes the stage, normally `/proc/self/exe`.
    pub stage: PathBuf,
    /// The user they run as; `None`: the service's own.
    pub user: Option<User>,
    /// The time zone they are told; `None`: the system's.
    pub time_zone: Option<String>,
}

impl ShellConfig {
    /// Commands that run as the service's own user in the system's time zone.
    #[must_use]
    pub fn new(roots: Vec<PathBuf>, protected: Vec<PathBuf>, stage: PathBuf) -> Self {
        Self { roots, protected, stage, user: None, time_zone: None }
    }
}

/// The executor of `shell.run`.
#[derive(Debug, Clone)]
pub struct Shell {
    config: Arc<ShellConfig>,
}

/// A command that may run, found in the world.
struct Ready {
    argv: Vec<String>,
    folders: Folders,
    located: Located,
}

impl Shell {
    /// Makes one. Nothing is opened or started before it is needed.
    #[must_use]
    pub fn new(config: ShellConfig) -> Self {
        Self { config: Arc::new(config) }
    }

    /// How commands are confined on this machine, see [`sandbox::level`].
    #[must_use]
    pub fn level() -> String {
        sandbox::level().to_owned()
    }

    /// Whether commands can run on this machine without policy's leave to run less confined.
    #[must_use]
    pub fn is_confined() -> bool {
        sandbox::is_full()
    }

    /// Looks at the program and the files of the attempt's command.
    ///
    /// # Errors
    /// The refusal that [`Self::execute`] would end with.
    pub async fn prepare(&self, attempt: &Attempt) -> Result<Prepared, Failure> {
        let (_, operands) = self.look(attempt, Seal::Take).await?;
        Ok(Prepared { operands, pre_image: None })
    }

    /// Runs the attempt's command. A non-zero exit code is a result like any other.
    ///
    /// # Errors
    /// Refusals as [`Failure::denied`] with the texts of contract 5.3; `APPROVAL_STALE` when the program or a
    /// file isn't the one that was sealed; otherwise as [`sandbox::run`].
    pub async fn execute(&self, attempt: &Attempt, cancel: &CancellationToken) -> Result<Executed, Failure> {
        let seal = if attempt.operands.is_empty() { Seal::Skip } else { Seal::Take };
        let (ready, operands) = self.look(attempt, seal).await?;
        if seal == Seal::Take && operands != attempt.operands {
            let changed = operands.iter().zip(&attempt.operands).find(|(now, sealed)| now != sealed);
            let path = changed.map_or("the command's files", |(now, _)| now.path.as_str());
            let text = format!("`{path}` changed after this was shown");
            return Err(Failure::denied(text).with_code("APPROVAL_STALE"));
        }
        let program = ready.argv[0].clone();
        let spec = self.spec(ready, attempt);
        let ran = sandbox::run(&self.config.stage, &spec, attempt.timeout, cancel).await?;
        let started =
            SideEffect { kind: "process_started".to_owned(), target: format!("{program} (pid {})", ran.pid) };
        Ok(Executed { result: result(command(attempt)?, &ran), side_effects: vec![started] })
    }

    /// Reads the exit status off the result: it is the evidence there is, whatever its value.
    #[must_use]
    pub fn verify(&self, _: &Attempt, executed: &Executed) -> Verification {
        let evidence = "exit_status".to_owned();
        match executed.result.get("return_code").and_then(Value::as_i64) {
            Some(code) => {
                let detail = format!("the program ended with status {code}");
                Verification { verdict: Verdict::Confirmed, evidence, detail }
            }
            None => {
                let detail = "the result holds no exit status".to_owned();
                Verification { verdict: Verdict::Unverifiable, evidence, detail }
            }
        }
    }

    /// A command leaves nothing in the world to tell by.
    #[must_use]
    pub fn probe(&self, _: &Attempt) -> Probe {
        Probe::Undecidable
    }

    /// Decides, and finds what it needs in the world, off the caller's thread.
    async fn look(
        &self,
        attempt: &Attempt,
        seal: Seal,
    ) -> Result<(Ready, Vec<steadyhand_core::approval::Operand>), Failure> {
        if attempt.timeout > TIMEOUT_MAX {
            let (asked, max) = (attempt.timeout.as_millis(), TIMEOUT_MAX.as_millis());
            return Err(Failure::invalid(format!("Timeout {asked}ms exceeds maximum {max}ms")));
        }
        let argv = words(command(attempt)?)?;
        let (config, extra) = (Arc::clone(&self.config), attempt.extra_programs.clone());
        let looking = tokio::task::spawn_blocking(move || {
            let allowed = allow::decide(&argv, &extra).map_err(|e| Failure::denied(e.to_string()))?;
            let folders = Folders::resolve(&config.roots, &config.protected)?;
            let located = operands::locate(&allowed, &folders)?;
            let operands = if seal == Seal::Take { located.seal() } else { Vec::new() };
            Ok((Ready { argv, folders, located }, operands))
        });
        looking.await.unwrap_or_else(|e| Err(Failure::error(format!("looking at the command's files: {e}"))))
    }

    fn spec(&self, ready: Ready, attempt: &Attempt) -> Spec {
        Spec {
            program: ready.located.program,
            argv: ready.argv,
            roots: ready.folders.roots,
            protected: ready.folders.protected,
            user: self.config.user,
            cpu_seconds: attempt.timeout.as_secs() + 1,
            allow_bare: attempt.allow_bare,
            time_zone: self.config.time_zone.clone(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seal {
    Take,
    Skip,
}

fn command(attempt: &Attempt) -> Result<&str, Failure> {
    let command = attempt.params.get("command").and_then(Value::as_str).unwrap_or_default();
    if command.trim().is_empty() { Err(Failure::error("command argument required")) } else { Ok(command) }
}

fn words(command: &str) -> Result<Vec<String>, Failure> {
    split::split(command).map_err(|error| match error.is_refusal() {
        true => Failure::denied(error.to_string()),
        false => Failure::invalid(error.to_string()),
    })
}

fn program_missing(program: &str) -> Failure {
    Failure::error(format!("'{program}' isn't installed in {}", sandbox::PATH))
}

fn result(command: &str, ran: &Ran) -> Value {
    json!({
        "command": command,
        "return_code": ran.code,
        "stdout": ran.stdout.text,
        "stderr": ran.stderr.text,
        "stdout_truncated": ran.stdout.truncated,
        "stderr_truncated": ran.stderr.truncated,
        "stdout_bytes": ran.stdout.bytes,
        "stderr_bytes": ran.stderr.bytes,
        "elapsed_ms": millis(ran.elapsed),
        "success": ran.code == 0,
        "sandbox": ran.level,
    })
}
