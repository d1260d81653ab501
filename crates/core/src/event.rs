//! What happened: the events of the journal, and how they fold into an action's record.
//!
//! The journal is the truth; [`ActionRecord`] is what its events add up to, and nothing else. The fold
//! is total: an event that doesn't fit the state changes what it says and nothing more.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    action::{ActionRecord, Dispatch, ErrorNote, Execution, State, Telemetry, Validation},
    approval::Seal,
    capability::Risk,
    digest::Digest,
    executor::Verification,
    failure::{Effect, FailureClass},
    id::{ActionId, AttemptId, CorrelationId},
    time::Timestamp,
};

/// One event with its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// The new action.
    pub action_id: ActionId,
    /// The capability's name, as asked.
    pub intent: String,
    /// Its parameters, redacted.
    pub params: Value,
    /// Digest of the exact parameters.
    pub params_digest: Digest,
    /// Whether `params` is the exact form too.
    pub params_exact: bool,
    /// The assessed risk.
    pub risk_level: Risk,
    /// Whether a person will be asked, before policy has spoken.
    pub requires_confirmation: bool,
    /// Whether it is planned only.
    pub dry_run: bool,
    /// The caller's name.
    pub caller: String,
    /// The caller's key.
    pub idempotency_key: Option<String>,
    /// Ties together the work of several services.
    pub correlation_id: CorrelationId,
    /// The session it belongs to.
    pub session_id: Option<String>,
    /// The request's upper bound on retries.
    pub max_retries: Option<u8>,
    /// Bounds one attempt, in milliseconds.
    pub timeout_ms: u64,
    /// Bounds all attempts and waits, in milliseconds.
    pub deadline_ms: u64,
    /// Time it took to make the record.
    pub plan_ms: f64,
}

/// Everything that can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// An action was asked for.
    Planned(Box<Planned>),
    /// Checks and policy were run; `validation.valid` says with what result.
    Validated {
        /// What was found.
        validation: Validation,
        /// The policy rule that decided, where policy was reached.
        rule: Option<String>,
        /// Time it took.
        validate_ms: f64,
    },
    /// Policy said no.
    PolicyDenied {
        /// The rule that said so.
        rule: String,
        /// The sentence for the caller.
        message: String,
    },
    /// A person is asked.
    Asked {
        /// What the approval is bound to.
        seal: Seal,
    },
    /// A person said yes.
    Approved {
        /// Who.
        by: String,
        /// From shown to decided.
        wait_ms: f64,
    },
    /// A person said no.
    Denied {
        /// Who.
        by: String,
        /// Why, if they said.
        reason: Option<String>,
        /// From shown to decided.
        wait_ms: f64,
    },
    /// Nobody decided in time.
    ApprovalExpired,
    /// The action is about to be handed to an executor.
    Dispatched(Dispatch),
    /// An attempt failed; another may follow.
    AttemptFailed {
        /// The attempt.
        attempt_id: AttemptId,
        /// Its number; 1 is the first.
        attempt: u32,
        /// Its class.
        class: FailureClass,
        /// Whether anything can have happened.
        effect: Effect,
        /// What the executor said, redacted.
        message: String,
        /// How long it took.
        duration_ms: f64,
        /// The wait before the next attempt; `None`: there is none.
        retry_in_ms: Option<f64>,
    },
    /// The executor has done it.
    Executed {
        /// The attempt.
        attempt_id: AttemptId,
        /// Its number; 1 is the first.
        attempt: u32,
        /// How long it took.
        duration_ms: f64,
    },
    /// The world was looked at.
    Verified {
        /// What was seen.
        verification: Verification,
        /// Time it took.
        verify_ms: f64,
    },
    /// The action ended; `state` is final.
    Ended {
        /// How.
        state: State,
        /// What running it came to, output redacted; absent when nothing ran.
        execution: Option<Box<Execution>>,
        /// Why it isn't as asked.
        error: Option<ErrorNote>,
        /// All steps' times.
        telemetry: Telemetry,
    },
    /// A crash left the action in doubt; this is what recovery decided.
    Recovered {
        /// What was decided: `rerun`, `confirmed`, `outcome_unknown`, `asked_again`, `cancelled`.
        decision: String,
    },
    /// An undo is about to change the world.
    UndoDispatched {
        /// Who asked for it.
        by: String,
    },
    /// The world was put back.
    Undone {
        /// What was put back.
        summary: String,
    },
    /// An undo failed midway.
    UndoFailed {
        /// Why.
        message: String,
    },
    /// A document of another part of the product changed: a supervisor's token, an attempt's memory.
    Document {
        /// The kind of document.
        kind: String,
        /// Which one.
        id: String,
        /// Its new content; `null` removes it.
        body: Value,
    },
    /// Something about the service itself: started, stopped, policy changed.
    Service {
        /// What.
        what: String,
        /// The facts.
        detail: Value,
    },
}

impl Event {
    /// The event's type, as the journal names it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Planned(_) => "planned",
            Self::Validated { .. } => "validated",
            Self::PolicyDenied { .. } => "policy_denied",
            Self::Asked { .. } => "asked",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::ApprovalExpired => "approval_expired",
            Self::Dispatched(_) => "dispatched",
            Self::AttemptFailed { .. } => "attempt_failed",
            Self::Executed { .. } => "executed",
            Self::Verified { .. } => "verified",
            Self::Ended { .. } => "ended",
            Self::Recovered { .. } => "recovered",
            Self::UndoDispatched { .. } => "undo_dispatched",
            Self::Undone { .. } => "undone",
            Self::UndoFailed { .. } => "undo_failed",
            Self::Document { .. } => "document",
            Self::Service { .. } => "service",
        }
    }
}

impl ActionRecord {
    /// The record that a history adds up to; `None` unless it begins with [`Event::Planned`].
    #[must_use]
    pub fn replay<'a>(history: impl IntoIterator<Item = &'a Entry>) -> Option<Self> {
        let mut history = history.into_iter();
        let first = history.next()?;
        let Event::Planned(planned) = &first.event else { return None };
        let mut record = Self::begin(planned, first.at);
        for entry in history {
            record.apply(entry);
        }
        Some(record)
    }

    /// The record right after it was asked for.
    #[must_use]
    pub fn begin(planned: &Planned, at: Timestamp) -> Self {
        let telemetry = Telemetry { plan_ms: planned.plan_ms, ..Telemetry::default() };
        Self {
            action_id: planned.action_id.clone(),
            intent: planned.intent.clone(),
            params: planned.params.clone(),
            params_digest: planned.params_digest.clone(),
            params_exact: planned.params_exact,
            state: State::Planned,
            risk_level: planned.risk_level,
            requires_confirmation: planned.requires_confirmation,
            dry_run: planned.dry_run,
            caller: planned.caller.clone(),
            idempotency_key: planned.idempotency_key.clone(),
            correlation_id: planned.correlation_id.clone(),
            session_id: planned.session_id.clone(),
            validation: None,
            rule: None,
            seal: None,
            decided_by: None,
            dispatch: None,
            execution: None,
            error: None,
            telemetry,
            created_at: at,
            updated_at: at,
            completed_at: None,
            max_retries: planned.max_retries,
            retry_count: 0,
            timeout_ms: planned.timeout_ms,
            deadline_ms: planned.deadline_ms,
            undoing: false,
        }
    }

    /// Folds one more event into the record.
    pub fn apply(&mut self, entry: &Entry) {
        self.updated_at = entry.at;
        match &entry.event {
            Event::Planned(_) | Event::Document { .. } | Event::Service { .. } => {}
            Event::Validated { validation, rule, validate_ms } => {
                self.validated(validation, rule, *validate_ms)
            }
            Event::PolicyDenied { rule, message } => {
                self.rule = Some(rule.clone());
                self.error = Some(ErrorNote { code: "POLICY_DENIED".to_owned(), message: message.clone() });
                self.end(State::Failed, entry.at);
            }
            Event::Asked { seal } => {
                self.seal = Some(seal.clone());
                self.state = State::PendingApproval;
            }
            Event::Approved { by, wait_ms } => {
                self.decided_by = Some(by.clone());
                self.telemetry.approval_wait_ms = *wait_ms;
                self.state = State::Approved;
            }
            Event::Denied { by, wait_ms, .. } => {
                self.decided_by = Some(by.clone());
                self.telemetry.approval_wait_ms = *wait_ms;
                self.end(State::Denied, entry.at);
            }
            Event::ApprovalExpired => {
                let message = "the approval expired".to_owned();
                self.error = Some(ErrorNote { code: "APPROVAL_EXPIRED".to_owned(), message });
                self.end(State::Cancelled, entry.at);
            }
            Event::Dispatched(dispatch) => {
                self.retry_count = dispatch.attempt.saturating_sub(1);
                self.dispatch = Some(dispatch.clone());
                self.state = State::Executing;
            }
            Event::AttemptFailed { attempt, .. } => self.retry_count = attempt.saturating_sub(1),
            Event::Executed { .. } => self.state = State::Verifying,
            Event::Verified { verify_ms, .. } => self.telemetry.verify_ms = *verify_ms,
            Event::Ended { state, execution, error, telemetry } => {
                if let Some(execution) = execution {
                    self.retry_count = execution.retries_used;
                    self.execution = Some((**execution).clone());
                }
                self.error = error.clone();
                self.telemetry = *telemetry;
                self.end(*state, entry.at);
            }
            Event::Recovered { .. } => {}
            Event::UndoDispatched { .. } => self.undoing = true,
            Event::Undone { .. } => {
                self.undoing = false;
                self.state = State::RolledBack;
            }
            Event::UndoFailed { .. } => self.undoing = false,
        }
    }

    fn validated(&mut self, validation: &Validation, rule: &Option<String>, validate_ms: f64) {
        self.risk_level = validation.risk_level;
        self.requires_confirmation = validation.requires_confirmation;
        self.telemetry.validate_ms = validate_ms;
        self.rule.clone_from(rule);
        if validation.valid {
            self.state = State::Validated;
        }
        self.validation = Some(validation.clone());
    }

    fn end(&mut self, state: State, at: Timestamp) {
        self.state = state;
        self.completed_at = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dispatch_survives_its_way_through_json() {
        let dispatch = Dispatch {
            attempt_id: AttemptId::from("att_1"),
            attempt: 1,
            at: Timestamp(1),
            operands: Vec::new(),
            pre_image: false,
        };
        let entry = Entry { at: Timestamp(2), event: Event::Dispatched(dispatch) };
        let text = serde_json::to_string(&entry).unwrap();
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry, "{text}");
    }
}
