//! The hands, as the pipeline sees them. Nothing above this trait knows whether they are in the same
//! process.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{
    approval::Operand,
    failure::Failure,
    id::{ActionId, AttemptId, CorrelationId},
};

/// One call of an executor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// This call's own identifier; a repeat of the action gets another.
    pub attempt_id: AttemptId,
    /// The action it belongs to.
    pub action_id: ActionId,
    /// The capability's name.
    pub intent: String,
    /// The request's correlation id, for the logs of whoever does it.
    pub correlation_id: CorrelationId,
    /// The exact parameters.
    pub params: Value,
    /// How long this attempt may take.
    pub timeout: Duration,
    /// The files as they were sealed; the executor refuses when it finds others. Empty: nothing was sealed.
    pub operands: Vec<Operand>,
    /// Whether policy lets commands run without the sandbox where the kernel can't give one.
    pub allow_bare: bool,
    /// Programs that the operator's policy allows beside the built-in list.
    pub extra_programs: Vec<String>,
}

/// A look at the files that an action works on, taken without changing anything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The files as they are now.
    pub operands: Vec<Operand>,
    /// What an undo would have to put back; kept encrypted with the action. Absent where the target
    /// doesn't exist or the capability isn't reversible.
    pub pre_image: Option<Vec<u8>>,
}

/// Something that an action changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideEffect {
    /// What was done: `file_written`, `folder_created`, `process_started`.
    pub kind: String,
    /// To what: a path, a process.
    pub target: String,
}

/// What an executor did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Executed {
    /// The capability's output (contract 5.3).
    pub result: Value,
    /// What was changed.
    pub side_effects: Vec<SideEffect>,
}

/// What an independent look at the world says of an execution (D-43).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is as asked.
    Confirmed,
    /// Some of it is.
    Partial,
    /// The world can't be asked.
    Unverifiable,
    /// Nothing changed.
    NoOp,
}

/// A verdict with its grounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// The verdict.
    pub verdict: Verdict,
    /// What was looked at: `digest`, `exit_status`, `size`.
    pub evidence: String,
    /// One sentence with the facts.
    pub detail: String,
}

/// What the world says of an attempt whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Its effect is there.
    Done,
    /// The world is as it was before.
    NotDone,
    /// Neither can be told.
    Undecidable,
}

/// What an undo would do, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// One sentence: what was or would be put back.
    pub summary: String,
    /// A text diff from the present state to the one put back, where both are text.
    pub diff: Option<String>,
}

/// Why an undo isn't done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
pub enum UndoError {
    /// The world moved on since the action; undoing would destroy that.
    #[error("{message}")]
    Conflict {
        /// What moved on.
        message: String,
        /// A text diff from what the action left to what is there now.
        diff: Option<String>,
    },
    /// This capability can't be undone.
    #[error("{0} can't be undone")]
    NotReversible(String),
    /// It should have worked and didn't.
    #[error(transparent)]
    Failed(Failure),
}

/// Whether an undo is only described or really done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UndoMode {
    /// Nothing changes.
    DryRun,
    /// The world is put back.
    Real,
}

/// How far an executor can confine what it runs, for `/v1/capabilities`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Availability {
    /// Whether the capability works on this machine now.
    pub available: bool,
    /// Why not, and what to do about it.
    pub reason: Option<String>,
    /// The sandbox level reached: `landlock+seccomp`, `bare`, `none`.
    pub sandbox: String,
}

/// The hands. Every method may be called at once from many tasks, and may be dropped at any await
/// without leaving a process, a lock or a temporary file behind.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Looks at the files that the attempt would work on. Changes nothing. An operand that doesn't
    /// exist is sealed as absent. Capabilities without operands give none.
    ///
    /// # Errors
    /// The failure that [`Self::execute`] would end with, where that can be told by looking.
    async fn prepare(&self, attempt: &Attempt) -> Result<Prepared, Failure>;

    /// Does it, once. `cancel` stops it early; keys, buttons and child processes are released first.
    ///
    /// # Errors
    /// A [`Failure`] with its class and whether anything can have happened.
    async fn execute(&self, attempt: &Attempt, cancel: &CancellationToken) -> Result<Executed, Failure>;

    /// Looks at the world, independently of how `executed` came about.
    async fn verify(&self, attempt: &Attempt, executed: &Executed) -> Verification;

    /// Looks whether the effect of an attempt whose answer was lost is there. `attempt.operands` are
    /// those of the moment before the dispatch.
    async fn probe(&self, attempt: &Attempt) -> Probe;

    /// Puts back what `attempt` changed, or says what would be put back. `attempt.operands` are those
    /// of the moment before the dispatch, `pre_image` is what was kept then.
    ///
    /// # Errors
    /// See [`UndoError`].
    async fn undo(
        &self,
        attempt: &Attempt,
        pre_image: Option<&[u8]>,
        mode: UndoMode,
    ) -> Result<Undone, UndoError>;

    /// Whether a capability works on this machine now.
    fn availability(&self, intent: &str) -> Availability;
}
