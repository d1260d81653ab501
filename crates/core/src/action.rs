//! An action: what was asked for, how far it came, and how it ended.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    approval::Seal,
    capability::Risk,
    digest::Digest,
    executor::{SideEffect, Verification},
    failure::FailureClass,
    id::{ActionId, AttemptId, CorrelationId},
    time::Timestamp,
};

/// What a caller asks for, after parsing. Bounds were checked at the door (contract 1.9).
#[derive(Debug, Clone)]
pub struct Request {
    /// The capability's name.
    pub intent: String,
    /// Its parameters, exact.
    pub params: Map<String, Value>,
    /// Bounds one attempt. 100 ms to 120 s, default 10 s.
    pub timeout: Duration,
    /// Bounds all attempts and waits together; `None`: [`default_deadline`].
    pub deadline: Option<Duration>,
    /// Upper bound on retries beside the failure class's own; 0 to 5.
    pub max_retries: Option<u8>,
    /// Same key, same caller: same action, once. At most 200 bytes.
    pub idempotency_key: Option<String>,
    /// The session it belongs to.
    pub session_id: Option<String>,
    /// Plan and validate only.
    pub dry_run: bool,
    /// Ties together the work of several services.
    pub correlation_id: CorrelationId,
}

/// The deadline of a request that names none: min(120 s, 3 × timeout + 16 s).
#[must_use]
pub fn default_deadline(timeout: Duration) -> Duration {
    (timeout * 3 + Duration::from_secs(16)).min(Duration::from_secs(120))
}

/// How far an action is (contract 1.9.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Recorded, or failed validation.
    Planned,
    /// The checks passed; the end of a dry run.
    Validated,
    /// Waits for a person.
    PendingApproval,
    /// A person said yes.
    Approved,
    /// A person said no.
    Denied,
    /// Running.
    Executing,
    /// The world is being looked at.
    Verifying,
    /// Done, and nothing speaks against it.
    Succeeded,
    /// Not done, or not as asked.
    Failed,
    /// Its time was up.
    Timeout,
    /// Ended by request, by expiry of the approval, or by a stop.
    Cancelled,
    /// Done and undone.
    RolledBack,
}

impl State {
    /// All states.
    pub const ALL: [Self; 12] = [
        Self::Planned,
        Self::Validated,
        Self::PendingApproval,
        Self::Approved,
        Self::Denied,
        Self::Executing,
        Self::Verifying,
        Self::Succeeded,
        Self::Failed,
        Self::Timeout,
        Self::Cancelled,
        Self::RolledBack,
    ];

    /// The state's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Validated => "validated",
            Self::PendingApproval => "pending_approval",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Executing => "executing",
            Self::Verifying => "verifying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::RolledBack => "rolled_back",
        }
    }

    /// Whether the action has ended once it has been recorded in this state. `planned` and `validated`
    /// are ends only of a failed validation and of a dry run; [`ActionRecord::ended`] tells those.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(
            self,
            Self::Denied
                | Self::Succeeded
                | Self::Failed
                | Self::Timeout
                | Self::Cancelled
                | Self::RolledBack
        )
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One check of the validation (contract 1.9.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The check's name.
    pub check: String,
    /// Whether it passed.
    pub pass: bool,
    /// What there is to say: a text, or an array of texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

/// What validation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Whether every check passed.
    pub valid: bool,
    /// The checks, in order.
    pub checks: Vec<Check>,
    /// The assessed risk.
    pub risk_level: Risk,
    /// Whether a person will be asked.
    pub requires_confirmation: bool,
    /// Why it isn't valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection_reason: Option<String>,
}

/// What running it came to, all attempts together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// Whether it succeeded.
    pub success: bool,
    /// The executor's output: redacted in records, exact in the answer to the caller.
    pub output: Value,
    /// What was changed.
    pub side_effects: Vec<SideEffect>,
    /// A stable code, on failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// A sentence with the facts, on failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// One of the eight classes, on failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_class: Option<FailureClass>,
    /// Calls after the first.
    pub retries_used: u32,
    /// From the first call to the last answer, in milliseconds.
    pub duration_ms: f64,
    /// What the independent look said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Bytes of the exact output as JSON.
    #[serde(default)]
    pub output_bytes: u64,
    /// Whether the exact output is no longer kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub output_evicted: bool,
}

/// Milliseconds spent in each step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// Making the record.
    pub plan_ms: f64,
    /// Checks and policy.
    pub validate_ms: f64,
    /// From shown to decided.
    pub approval_wait_ms: f64,
    /// All attempts and the waits between them.
    pub execute_ms: f64,
    /// The independent look.
    pub verify_ms: f64,
    /// From request to outcome, the wait for approval included.
    pub total_ms: f64,
}

/// A stable code and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorNote {
    /// The code, such as `POLICY_DENIED`.
    pub code: String,
    /// The sentence.
    pub message: String,
}

/// The last dispatch of an action, for recovery and undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// The attempt's identifier.
    pub attempt_id: AttemptId,
    /// Its number; 1 is the first.
    pub attempt: u32,
    /// When `dispatched` was written. Its name in JSON differs from the `at` of the entry that it is
    /// flattened into, which couldn't be read back otherwise.
    #[serde(rename = "dispatched_at")]
    pub at: Timestamp,
    /// The files as they were just before.
    pub operands: Vec<crate::approval::Operand>,
    /// Whether a pre-image is kept for an undo.
    pub pre_image: bool,
}

/// Everything known of one action: the projection of its events. Parameters and outputs are redacted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionRecord {
    /// Its identifier.
    pub action_id: ActionId,
    /// The capability's name, as asked.
    pub intent: String,
    /// Its parameters, redacted.
    pub params: Value,
    /// Digest of the exact parameters.
    pub params_digest: Digest,
    /// Whether `params` is the exact form too, so that no payload was kept.
    pub params_exact: bool,
    /// How far it is.
    pub state: State,
    /// The assessed risk.
    pub risk_level: Risk,
    /// Whether a person is asked.
    pub requires_confirmation: bool,
    /// Whether it was planned only.
    pub dry_run: bool,
    /// The caller's name.
    pub caller: String,
    /// The caller's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Ties together the work of several services.
    pub correlation_id: CorrelationId,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// What validation found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
    /// The policy rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What an approval is bound to, while and after it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
    /// Who decided on the approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// The last dispatch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispatch: Option<Dispatch>,
    /// What running it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Execution>,
    /// Why it isn't as asked, where no execution says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorNote>,
    /// Milliseconds spent in each step.
    pub telemetry: Telemetry,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// The request's upper bound on retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u8>,
    /// Calls after the first.
    pub retry_count: u32,
    /// Bounds one attempt, in milliseconds.
    pub timeout_ms: u64,
    /// Bounds all attempts and waits, in milliseconds.
    pub deadline_ms: u64,
    /// Whether an undo was begun and hasn't ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undoing: bool,
}

impl ActionRecord {
    /// Whether nothing will happen to this action any more, but an undo.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.state.is_final()
            || (self.state == State::Validated && self.dry_run)
            || (self.state == State::Planned && self.validation.as_ref().is_some_and(|v| !v.valid))
    }

    /// How long one attempt may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}
