//! Actions in the making: events and the record that they add up to, one commit at a time.

use serde_json::{Value, json};
use steadyhand_core::{
    action::{ActionRecord, Check, Dispatch, ErrorNote, Execution, State, Telemetry, Validation},
    approval::{Operand, Seal},
    capability::Risk,
    chance::Entropy,
    digest::Digest,
    event::{Entry, Event, Planned},
    executor::{SideEffect, Verdict, Verification},
    failure::{Effect, FailureClass},
    id::{ActionId, AttemptId, CorrelationId},
    store::Commit,
    time::Timestamp,
};

use crate::chance::Seeded;

/// An action that is being written: push events, then take the commit.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The record after all events so far.
    pub record: ActionRecord,
    /// All events so far.
    pub history: Vec<Entry>,
    committed: usize,
}

impl Draft {
    /// Begins action `n` with its `planned` event. Equal numbers give equal actions.
    #[must_use]
    pub fn plan(n: u64, at: Timestamp) -> Self {
        Self::plan_as(n, at, |_| {})
    }

    /// As [`Self::plan`], with changes to what was asked for.
    #[must_use]
    pub fn plan_as(n: u64, at: Timestamp, change: impl FnOnce(&mut Planned)) -> Self {
        let mut planned = planned(n);
        change(&mut planned);
        let record = ActionRecord::begin(&planned, at);
        let history = vec![Entry { at, event: Event::Planned(Box::new(planned)) }];
        Self { record, history, committed: 0 }
    }

    /// The action's identifier.
    #[must_use]
    pub fn id(&self) -> &ActionId {
        &self.record.action_id
    }

    /// Adds an event.
    pub fn push(&mut self, at: Timestamp, event: Event) -> &mut Self {
        let entry = Entry { at, event };
        self.record.apply(&entry);
        self.history.push(entry);
        self
    }

    /// Adds the end of a success.
    pub fn succeed(&mut self, at: Timestamp) -> &mut Self {
        self.push(at, ended(State::Succeeded, Some(execution(true))))
    }

    /// Adds the end of a failure of this class.
    pub fn fail(&mut self, at: Timestamp, class: FailureClass) -> &mut Self {
        let execution = Execution { failure_class: Some(class), ..execution(false) };
        self.push(at, ended(State::Failed, Some(execution)))
    }

    /// The events since the last commit, as one commit.
    #[must_use]
    pub fn commit(&mut self) -> Commit {
        let events = self.history[self.committed..].to_vec();
        self.committed = self.history.len();
        Commit {
            action: Some(self.id().clone()),
            events,
            record: Some(self.record.clone()),
            payloads: Vec::new(),
            claim: None,
        }
    }
}

fn planned(n: u64) -> Planned {
    let entropy = Seeded::new(n);
    let params = json!({"path": format!("notes/{n}.txt"), "content": {"redacted": true, "bytes": 5}});
    Planned {
        action_id: ActionId::mint(&entropy),
        intent: "file.write".to_owned(),
        params_digest: Digest::of_json(&params),
        params,
        params_exact: false,
        risk_level: Risk::Low,
        requires_confirmation: true,
        dry_run: false,
        caller: "agent".to_owned(),
        idempotency_key: None,
        correlation_id: CorrelationId::mint(&entropy),
        session_id: None,
        max_retries: None,
        timeout_ms: 10_000,
        deadline_ms: 46_000,
        plan_ms: 0.1 + entropy.unit(),
    }
}

/// An end in `state`.
#[must_use]
pub fn ended(state: State, execution: Option<Execution>) -> Event {
    let telemetry = Telemetry { execute_ms: 1.0 / 3.0, total_ms: 12.345_678, ..Telemetry::default() };
    Event::Ended { state, execution: execution.map(Box::new), error: None, telemetry }
}

/// What running it came to.
#[must_use]
pub fn execution(success: bool) -> Execution {
    Execution {
        success,
        output: json!({"bytes_written": 5, "ratio": 0.1 + 0.2}),
        side_effects: vec![SideEffect { kind: "file_written".to_owned(), target: "/r/notes".to_owned() }],
        error_code: (!success).then(|| "EXECUTION_FAILED".to_owned()),
        error_message: (!success).then(|| "no space".to_owned()),
        failure_class: (!success).then_some(FailureClass::ExecutionError),
        retries_used: 1,
        duration_ms: 3.25,
        verification: Some(verification()),
        output_bytes: 19,
        output_evicted: false,
    }
}

fn verification() -> Verification {
    Verification {
        verdict: Verdict::Confirmed,
        evidence: "digest".to_owned(),
        detail: "the file holds what was asked".to_owned(),
    }
}

fn validation(valid: bool) -> Validation {
    let detail = Some(Value::from("12 bytes ≤ 1 MiB"));
    Validation {
        valid,
        checks: vec![Check { check: "bounds".to_owned(), pass: valid, detail }],
        risk_level: Risk::Medium,
        requires_confirmation: valid,
        rejection_reason: (!valid).then(|| "too long".to_owned()),
    }
}

fn seal(at: Timestamp) -> Seal {
    Seal {
        caller: "agent".to_owned(),
        intent: "file.write".to_owned(),
        params_digest: Digest::of(b"params"),
        operands: vec![operand()],
        policy_version: "p1".to_owned(),
        expires_at: at.plus(std::time::Duration::from_secs(120)),
    }
}

fn operand() -> Operand {
    Operand {
        param: "path".to_owned(),
        path: "/r/notes/ü.txt".to_owned(),
        identity: "1:2".to_owned(),
        digest: Some(Digest::of(b"old")),
        size: 3,
    }
}

/// One event of each type that an action can have, whatever its state: laws hold for all of them.
#[must_use]
pub fn any_event(kind: u8, n: u64, at: Timestamp) -> Event {
    let entropy = Seeded::new(n);
    let attempt_id = AttemptId::mint(&entropy);
    let attempt = u32::from(kind % 5) + 1;
    let ms = entropy.unit() * 1_000.0;
    let text = format!("text {n} \"quoted\" \u{1f600}\n");
    let (by, reason) = ("op".to_owned(), n.is_multiple_of(2).then(|| text.clone()));
    match kind % EVENT_KINDS {
        0 => Event::Validated { validation: validation(!n.is_multiple_of(3)), rule: reason, validate_ms: ms },
        1 => Event::PolicyDenied { rule: "r1".to_owned(), message: text },
        2 => Event::Asked { seal: seal(at) },
        3 => Event::Approved { by, wait_ms: ms },
        4 => Event::Denied { by, reason, wait_ms: ms },
        5 => Event::ApprovalExpired,
        6 => {
            let operands = vec![operand()];
            Event::Dispatched(Dispatch { attempt_id, attempt, at, operands, pre_image: n.is_multiple_of(2) })
        }
        7 => Event::AttemptFailed {
            attempt_id,
            attempt,
            class: FailureClass::ALL[(n % 8) as usize],
            effect: Effect::Unknown,
            message: text,
            duration_ms: ms,
            retry_in_ms: n.is_multiple_of(2).then_some(ms / 3.0),
        },
        8 => Event::Executed { attempt_id, attempt, duration_ms: ms },
        9 => Event::Verified { verification: verification(), verify_ms: ms },
        10 => {
            ended(State::ALL[(n % 12) as usize], n.is_multiple_of(2).then(|| execution(n.is_multiple_of(4))))
        }
        11 => Event::Recovered { decision: "rerun".to_owned() },
        12 => Event::UndoDispatched { by },
        13 => Event::Undone { summary: text },
        14 => Event::UndoFailed { message: text },
        15 => Event::Document { kind: "token".to_owned(), id: format!("t{}", n % 4), body: json!({"n": ms}) },
        16 => Event::Document { kind: "token".to_owned(), id: format!("t{}", n % 4), body: Value::Null },
        17 => Event::Service { what: "policy_changed".to_owned(), detail: json!({"n": n}) },
        _ => {
            let error = Some(ErrorNote { code: "X".to_owned(), message: text });
            Event::Ended { state: State::Failed, execution: None, error, telemetry: Telemetry::default() }
        }
    }
}

/// How many kinds of event [`any_event`] gives.
pub const EVENT_KINDS: u8 = 19;
