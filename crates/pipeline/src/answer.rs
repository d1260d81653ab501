//! What a caller hears.

use std::sync::Arc;

use serde_json::Value;
use steadyhand_core::{
    action::{ActionRecord, ErrorNote, State},
    id::ActionId,
    store::StoreError,
};

/// Stable codes of answers (contract 1.9 and 9).
pub mod codes {
    /// The policy said no.
    pub const POLICY_DENIED: &str = "POLICY_DENIED";
    /// The request is wrong.
    pub const VALIDATION_FAILED: &str = "VALIDATION_FAILED";
    /// The world isn't as asked after the run.
    pub const VERIFY_FAILED: &str = "VERIFY_FAILED";
    /// An attempt's time was up, and nothing can have happened.
    pub const TIMEOUT: &str = "TIMEOUT";
    /// It was sent, but nobody can say whether it took effect.
    pub const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
    /// It ran and failed, or could not run.
    pub const EXECUTION_FAILED: &str = "EXECUTION_FAILED";
    /// A circuit breaker refused the call.
    pub const CIRCUIT_OPEN: &str = "CIRCUIT_OPEN";
    /// Stopped on request.
    pub const CANCELLED: &str = "CANCELLED";
    /// What was shown is not what would run.
    pub const APPROVAL_STALE: &str = "APPROVAL_STALE";
    /// Nobody decided in time.
    pub const APPROVAL_EXPIRED: &str = "APPROVAL_EXPIRED";
    /// Too many actions wait for approval.
    pub const APPROVAL_LIMIT: &str = "APPROVAL_LIMIT";
    /// The key belongs to another request.
    pub const IDEMPOTENCY_CONFLICT: &str = "IDEMPOTENCY_CONFLICT";
    /// Not possible in the action's state.
    pub const INVALID_STATE: &str = "INVALID_STATE";
    /// No such action.
    pub const NOT_FOUND: &str = "NOT_FOUND";
    /// The capability can't be undone.
    pub const NOT_REVERSIBLE: &str = "NOT_REVERSIBLE";
    /// The world moved on since the action.
    pub const UNDO_CONFLICT: &str = "UNDO_CONFLICT";
    /// Retention dropped what would be needed.
    pub const PAYLOAD_EXPIRED: &str = "PAYLOAD_EXPIRED";
    /// The caller may not do this to somebody else's action.
    pub const FORBIDDEN: &str = "FORBIDDEN";

    /// All of them, for the documentation to be held against.
    pub const ALL: [&str; 18] = [
        POLICY_DENIED,
        VALIDATION_FAILED,
        VERIFY_FAILED,
        TIMEOUT,
        OUTCOME_UNKNOWN,
        EXECUTION_FAILED,
        CIRCUIT_OPEN,
        CANCELLED,
        APPROVAL_STALE,
        APPROVAL_EXPIRED,
        APPROVAL_LIMIT,
        IDEMPOTENCY_CONFLICT,
        INVALID_STATE,
        NOT_FOUND,
        NOT_REVERSIBLE,
        UNDO_CONFLICT,
        PAYLOAD_EXPIRED,
        FORBIDDEN,
    ];
}

/// The answer to plan, approve, deny, cancel and undo.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Whether it went as the caller wanted.
    pub ok: bool,
    /// The action; absent when nothing was kept or nothing is known.
    pub record: Option<Arc<ActionRecord>>,
    /// The exact output, where it is at hand.
    pub output: Option<Value>,
    /// Why not.
    pub error: Option<ErrorNote>,
    /// What stands in for a record that isn't there.
    pub refused: Option<Refused>,
    /// What an undo did or would do.
    pub undo: Option<UndoReport>,
}

/// What an answer without a record still says.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The action that was named, or empty.
    pub action_id: String,
    /// The state to show.
    pub state: State,
    /// The intent that was asked for, or `unknown`.
    pub intent: String,
}

/// What an undo did or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoReport {
    /// One sentence.
    pub summary: String,
    /// A text diff, where both sides are text.
    pub diff: Option<String>,
    /// Whether nothing was changed.
    pub dry_run: bool,
}

/// Why there is no answer about an action at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PipelineError {
    /// Too many actions run at once. Nothing was kept.
    #[error("{0} actions are running, which is the limit")]
    Overloaded(usize),
    /// The service is stopping. Nothing was kept.
    #[error("the service is stopping")]
    Stopping,
    /// The journal can't take it. Before a dispatch nothing was done; after it the action is in doubt
    /// and is settled at the next start.
    #[error("the journal can't take it: {0}")]
    Journal(#[from] StoreError),
}

/// A stable code with its sentence.
pub(crate) fn note(code: &str, message: impl Into<String>) -> ErrorNote {
    ErrorNote { code: code.to_owned(), message: message.into() }
}

impl Answer {
    /// The answer that an action's record gives by itself.
    pub(crate) fn of(record: Arc<ActionRecord>, output: Option<Value>) -> Self {
        let ok = match record.state {
            State::Planned => false,
            State::Failed | State::Timeout | State::Cancelled | State::Denied => false,
            State::Validated
            | State::PendingApproval
            | State::Approved
            | State::Executing
            | State::Verifying
            | State::Succeeded
            | State::RolledBack => true,
        };
        let error = record.error.clone();
        Self { ok, record: Some(record), output, error, refused: None, undo: None }
    }

    /// The same answer with `ok` false and a reason that isn't the record's own.
    pub(crate) fn but(mut self, code: &str, message: impl Into<String>) -> Self {
        self.ok = false;
        self.error = Some(note(code, message));
        self
    }

    /// No such action.
    pub(crate) fn not_found(id: &ActionId) -> Self {
        let refused = Refused { action_id: id.0.clone(), state: State::Failed, intent: "unknown".to_owned() };
        Self::refuse(refused, codes::NOT_FOUND, "Action not found")
    }

    /// An action that holds a key and that the journal doesn't know yet.
    pub(crate) fn not_yet(id: ActionId, intent: &str, code: &str, message: impl Into<String>) -> Self {
        let refused = Refused { action_id: id.0, state: State::Planned, intent: intent.to_owned() };
        Self::refuse(refused, code, message)
    }

    /// A request of which nothing is kept.
    pub(crate) fn not_kept(intent: &str, code: &str, message: impl Into<String>) -> Self {
        let refused = Refused { action_id: String::new(), state: State::Planned, intent: intent.to_owned() };
        Self::refuse(refused, code, message)
    }

    fn refuse(refused: Refused, code: &str, message: impl Into<String>) -> Self {
        let error = Some(note(code, message));
        Self { ok: false, record: None, output: None, error, refused: Some(refused), undo: None }
    }
}
