//! Audit trails on the wire (contract 1.14): a history of events, told as phases.

use serde_json::{Map, Value, json};
use steadyhand_core::{
    action::{ActionRecord, State},
    event::{Entry, Event},
    store::History,
};

use super::time;

/// One action's trail; `None` where the history doesn't begin with a plan.
#[must_use]
pub fn trail((id, entries): &History) -> Option<Value> {
    let first = entries.first()?;
    let Event::Planned(planned) = &first.event else { return None };
    let record = ActionRecord::begin(planned, first.at);
    let mut teller = Teller { record, executed: None, phases: Vec::new() };
    for entry in entries {
        teller.record.apply(entry);
        teller.tell(entry);
    }
    let events = teller.phases;
    Some(json!({
        "action_id": id,
        "intent": planned.intent,
        "correlation_id": planned.correlation_id,
        "created_at": time::zulu(first.at),
        "event_count": events.len(),
        "events": events,
    }))
}

struct Teller {
    /// The record after the entry that is being told.
    record: ActionRecord,
    /// The last execution, which is told once its outcome is known.
    executed: Option<Entry>,
    phases: Vec<Value>,
}

impl Teller {
    fn tell(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Planned(p) => self.phase(
                entry,
                "plan",
                "completed",
                p.plan_ms,
                json!({
                    "risk_level": p.risk_level, "dry_run": p.dry_run,
                }),
            ),
            Event::Validated { validation, validate_ms, rule } => {
                let status = if validation.valid { "passed" } else { "failed" };
                let extra = json!({"checks_total": validation.checks.len(), "rule": rule});
                self.phase(entry, "validate", status, *validate_ms, extra);
            }
            Event::PolicyDenied { message, .. } => {
                let extra = json!({"final_state": "failed", "total_ms": 0.0, "detail": message});
                self.phase(entry, "lifecycle", "complete", 0.0, extra);
            }
            Event::Asked { .. } => {
                let detail = format!("Awaiting operator approval (risk={})", self.record.risk_level);
                self.phase(entry, "approval", "pending", 0.0, json!({"detail": detail}));
            }
            Event::Approved { by, wait_ms } => {
                self.phase(entry, "approval", "approved", *wait_ms, json!({"by": by}));
            }
            Event::Denied { by, reason, wait_ms } => {
                self.phase(entry, "approval", "denied", *wait_ms, json!({"by": by, "detail": reason}));
                self.complete(entry);
            }
            Event::ApprovalExpired => {
                self.phase(entry, "approval", "expired", 0.0, json!({}));
                self.complete(entry);
            }
            Event::Dispatched(d) => {
                let extra = json!({"attempt_id": d.attempt_id, "attempt": d.attempt});
                self.phase(entry, "dispatch", "durable", 0.0, extra);
            }
            Event::AttemptFailed { attempt, class, message, duration_ms, retry_in_ms, .. } => {
                let extra = json!({
                    "attempt": attempt, "failure_class": class, "detail": message, "retry_in_ms": retry_in_ms,
                });
                self.phase(entry, "attempt", "failed", *duration_ms, extra);
            }
            Event::Executed { .. } => self.executed = Some(entry.clone()),
            Event::Verified { verification, verify_ms } => {
                let extra = json!({"verdict": verification.verdict, "evidence": verification.evidence,
                    "detail": verification.detail});
                self.phase(entry, "verify", "passed", *verify_ms, extra);
            }
            Event::Ended { .. } => self.ended(entry),
            Event::Recovered { decision } => {
                self.phase(entry, "recover", decision, 0.0, json!({}));
            }
            Event::UndoDispatched { by } => self.phase(entry, "undo", "begun", 0.0, json!({"by": by})),
            Event::Undone { summary } => {
                self.phase(entry, "undo", "done", 0.0, json!({"detail": summary}));
                self.complete(entry);
            }
            Event::UndoFailed { message } => {
                self.phase(entry, "undo", "failed", 0.0, json!({"detail": message}));
            }
            Event::Document { .. } | Event::Service { .. } => {}
        }
    }

    /// The end of a run: how execution came out, before the look at the world, then the end itself.
    fn ended(&mut self, entry: &Entry) {
        if let Some(execution) = self.record.execution.clone() {
            let status = if execution.success { "succeeded" } else { "failed" };
            let extra = json!({"retries_used": execution.retries_used, "error_code": execution.error_code});
            let executed = self.executed.take();
            let at = executed.as_ref().unwrap_or(entry);
            let told = self.shape(at, "execute", status, execution.duration_ms, extra);
            let verified = self.phases.iter().rposition(|p| p["phase"] == "verify");
            match verified {
                Some(at) => self.phases.insert(at, told),
                None => self.phases.push(told),
            }
        }
        match self.record.state {
            State::Planned => {
                let detail = self.record.error.as_ref().map(|e| e.message.clone());
                self.phase(entry, "lifecycle", "validation_failed", 0.0, json!({"detail": detail}));
            }
            State::Validated => self.phase(entry, "lifecycle", "dry_run_complete", 0.0, json!({})),
            _ => self.complete(entry),
        }
    }

    fn complete(&mut self, entry: &Entry) {
        let extra = json!({"final_state": self.record.state, "total_ms": self.record.telemetry.total_ms});
        self.phase(entry, "lifecycle", "complete", 0.0, extra);
    }

    fn phase(&mut self, entry: &Entry, phase: &str, status: &str, duration_ms: f64, extra: Value) {
        let told = self.shape(entry, phase, status, duration_ms, extra);
        self.phases.push(told);
    }

    fn shape(&self, entry: &Entry, phase: &str, status: &str, duration_ms: f64, extra: Value) -> Value {
        let mut told = Map::new();
        told.insert("timestamp".to_owned(), json!(time::zulu(entry.at)));
        told.insert("phase".to_owned(), json!(phase));
        told.insert("status".to_owned(), json!(status));
        told.insert("duration_ms".to_owned(), json!(duration_ms));
        if let Value::Object(extra) = extra {
            told.extend(extra);
        }
        Value::Object(told)
    }
}
