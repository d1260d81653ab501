//! What kind of failure it was, and whether anything can have happened in the world.
//!
//! The eight classes and their retry table are the founding document's (section 2a) and the wire
//! contract's (1.15). Errors carry their class from where they arise; text is never searched for it.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// The eight failure classes: a closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The executor or an upstream could not be reached at all.
    ConnectionBootstrap,
    /// No answer within the attempt's time.
    Timeout,
    /// The other side is full and said so.
    Backpressure,
    /// A circuit breaker refused the call.
    CircuitOpen,
    /// Policy or the executor's own guard said no.
    PolicyDenied,
    /// The request was wrong; no repeat can make it right.
    ValidationFailed,
    /// It ran and failed.
    ExecutionError,
    /// Nobody can say.
    Unknown,
}

impl FailureClass {
    /// All classes, in the order of the founding document's table.
    pub const ALL: [Self; 8] = [
        Self::ConnectionBootstrap,
        Self::Timeout,
        Self::Backpressure,
        Self::CircuitOpen,
        Self::PolicyDenied,
        Self::ValidationFailed,
        Self::ExecutionError,
        Self::Unknown,
    ];

    /// The class's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionBootstrap => "connection_bootstrap",
            Self::Timeout => "timeout",
            Self::Backpressure => "backpressure",
            Self::CircuitOpen => "circuit_open",
            Self::PolicyDenied => "policy_denied",
            Self::ValidationFailed => "validation_failed",
            Self::ExecutionError => "execution_error",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether the world can have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing can have happened.
    None,
    /// It may have happened; nobody can say.
    Unknown,
    /// It happened, fully or in part.
    Done,
}

/// How an attempt ended when it didn't succeed, in the executor's own words (`status` of contract 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The executor's own guard refused: a path outside the roots, a program not on the list.
    PolicyDenied,
    /// The attempt's time was up.
    Timeout,
    /// It ran and failed, or could not run.
    Error,
    /// No executor for this capability in this build.
    NotImplemented,
    /// The executor was not reached.
    NotReached,
    /// The executor is full.
    Full,
    /// A circuit breaker refused the call before it was made.
    CircuitOpen,
    /// Stopped on request.
    Cancelled,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the attempt ended.
    pub status: Status,
    /// One of the eight classes; it steers retries.
    pub class: FailureClass,
    /// Whether anything can have happened.
    pub effect: Effect,
    /// What the caller reads: a sentence with the facts, for the contract's texts see 5.3.
    pub message: String,
    /// A wait that the other side asked for, if it did.
    pub retry_after: Option<Duration>,
    /// A stable code in place of the one that `status` gives, such as `APPROVAL_STALE`.
    pub code: Option<String>,
    /// What the attempt still has to show: output before the failure, `null` when nothing.
    #[serde(default)]
    pub partial: serde_json::Value,
}

impl Failure {
    fn new(status: Status, class: FailureClass, effect: Effect, message: impl Into<String>) -> Self {
        let partial = serde_json::Value::Null;
        Self { status, class, effect, message: message.into(), retry_after: None, code: None, partial }
    }

    /// It could not run, and nothing happened.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Status::Error, FailureClass::ExecutionError, Effect::None, message)
    }

    /// It ran and failed; something may have happened.
    pub fn failed_midway(message: impl Into<String>) -> Self {
        Self::new(Status::Error, FailureClass::ExecutionError, Effect::Unknown, message)
    }

    /// The executor's own guard refused; nothing happened.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Status::PolicyDenied, FailureClass::PolicyDenied, Effect::None, message)
    }

    /// The attempt's time was up; `effect` says whether anything can have happened.
    pub fn timeout(message: impl Into<String>, effect: Effect) -> Self {
        Self::new(Status::Timeout, FailureClass::Timeout, effect, message)
    }

    /// This build has no executor for the capability.
    pub fn not_implemented(message: impl Into<String>) -> Self {
        Self::new(Status::NotImplemented, FailureClass::ValidationFailed, Effect::None, message)
    }

    /// The parameters can't be run.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Status::Error, FailureClass::ValidationFailed, Effect::None, message)
    }

    /// The executor was not reached; nothing happened.
    pub fn not_reached(message: impl Into<String>) -> Self {
        Self::new(Status::NotReached, FailureClass::ConnectionBootstrap, Effect::None, message)
    }

    /// The executor takes no more work at the moment; nothing happened.
    pub fn full(message: impl Into<String>) -> Self {
        Self::new(Status::Full, FailureClass::Backpressure, Effect::None, message)
    }

    /// The answer was lost, and nobody can say how it ended (contract 1.9.3, last row).
    pub fn lost(message: impl Into<String>) -> Self {
        Self::new(Status::Error, FailureClass::Unknown, Effect::Unknown, message).with_code("OUTCOME_UNKNOWN")
    }

    /// Stopped on request; `effect` says whether anything can have happened.
    pub fn cancelled(message: impl Into<String>, effect: Effect) -> Self {
        Self::new(Status::Cancelled, FailureClass::Unknown, effect, message)
    }

    /// The same failure with a stable code of its own.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The same failure with what the attempt still has to show.
    #[must_use]
    pub fn with_partial(mut self, partial: serde_json::Value) -> Self {
        self.partial = partial;
        self
    }
}
