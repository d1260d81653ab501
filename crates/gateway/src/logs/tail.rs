//! `actions.jsonl` and `audit.jsonl`: what the journal takes, as it takes it, told as contract 1.17 says.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use steadyhand_core::{
    action::{ActionRecord, State},
    event::{Entry, Event},
    id::ActionId,
    store::History,
};
use steadyhand_pipeline::{Committed, Pipeline};
use tokio::sync::broadcast::error::RecvError;

use super::sink::Sink;
use crate::wire::{time, trail};

/// Runs whose earlier commits are held until they end; those of others are read back.
const HELD_MAX: usize = 1024;

/// Follows the pipeline until it is gone. What is committed after this call is followed, also before the
/// returned future is first polled.
pub fn follow(pipeline: Pipeline, actions: Sink, audit: Sink) -> impl Future<Output = ()> + Send {
    let mut commits = pipeline.listen();
    async move {
        let mut held = Held::default();
        loop {
            match commits.recv().await {
                Ok(commit) => {
                    for line in lines(&commit) {
                        actions.line(written(&line));
                    }
                    if let Some(history) = held.take_in(&pipeline, &commit).await {
                        tell_trail(&history, &commit, &audit);
                    }
                }
                // These files are a tail, not the truth: what was missed is in the journal.
                Err(RecvError::Lagged(missed)) => {
                    tracing::debug!(missed, "the log tail skipped commits");
                    held.0.clear();
                }
                Err(RecvError::Closed) => return,
            }
        }
    }
}

/// The commits so far of runs that haven't ended.
#[derive(Default)]
struct Held(HashMap<ActionId, Vec<Entry>>);

impl Held {
    /// Takes in a commit; gives the whole history when it ends a run.
    async fn take_in(&mut self, pipeline: &Pipeline, commit: &Committed) -> Option<History> {
        let id = &commit.record.action_id;
        let begins = matches!(commit.entries.first(), Some(Entry { event: Event::Planned(_), .. }));
        let entries = match self.0.remove(id) {
            Some(mut entries) => {
                entries.extend_from_slice(&commit.entries);
                Some(entries)
            }
            None => begins.then(|| commit.entries.clone()),
        };
        if !commit.record.ended() || commit.record.undoing {
            if let Some(entries) = entries
                && self.0.len() < HELD_MAX
            {
                self.0.insert(id.clone(), entries);
            }
            return None;
        }
        match entries {
            Some(entries) => Some((id.clone(), entries)),
            None => Some((id.clone(), pipeline.store().history(id).await.ok()?)),
        }
    }
}

fn tell_trail(history: &History, commit: &Committed, audit: &Sink) {
    if let Some(mut trail) = trail::trail(history) {
        trail["ts"] = json!(time::offset(commit.record.updated_at));
        audit.line(written(&trail));
    }
}

fn written(line: &Value) -> Vec<u8> {
    serde_json::to_vec(line).expect("a JSON value can be written as JSON")
}

/// The `actions` lines of one commit.
fn lines(commit: &Committed) -> Vec<Value> {
    commit.entries.iter().flat_map(|entry| line(entry, &commit.record)).collect()
}

fn line(entry: &Entry, record: &ActionRecord) -> Option<Value> {
    let (event, extra) = match &entry.event {
        Event::Planned(p) => {
            let extra = json!({"intent": p.intent, "risk": p.risk_level, "dry_run": p.dry_run,
                "correlation_id": p.correlation_id});
            ("planned", extra)
        }
        Event::Validated { validation, .. } if validation.valid => {
            let passed = validation.checks.iter().filter(|c| c.pass).count();
            ("validated", json!({"checks_passed": passed, "checks_total": validation.checks.len()}))
        }
        Event::Validated { validation, .. } => {
            let failed = validation.checks.iter().find(|c| !c.pass);
            let reason = match failed.map(|c| c.check.as_str()) {
                Some("capability_exists") => "unknown_intent",
                Some("required_params") => "missing_params",
                Some("param_types") => "wrong_params",
                _ => "pre_flight",
            };
            ("validation_failed", json!({"reason": reason, "errors": failed.map(|c| &c.detail)}))
        }
        Event::PolicyDenied { rule, .. } => ("failed", json!({"reason": "policy_denied", "rule": rule})),
        Event::Asked { .. } => ("pending_approval", json!({"risk": record.risk_level})),
        Event::Approved { by, .. } => ("approved", json!({"by": by})),
        Event::Denied { by, reason, .. } => ("denied", json!({"by": by, "reason": reason})),
        Event::ApprovalExpired => ("cancelled", json!({"reason": "approval_expired"})),
        Event::Dispatched(d) => ("executing", json!({"intent": record.intent, "attempt": d.attempt})),
        Event::Verified { verification, .. } => ("verified", json!({"verdict": verification.verdict})),
        Event::Ended { state, execution, error, .. } => {
            let execution = execution.as_ref();
            let retries = execution.map(|e| e.retries_used);
            let duration_ms = execution.map(|e| e.duration_ms);
            match state {
                State::Succeeded => ("succeeded", json!({"duration_ms": duration_ms, "retries": retries})),
                State::Timeout => ("timeout", json!({"retries": retries})),
                State::Cancelled => ("cancelled", json!({"reason": error.as_ref().map(|e| &e.code)})),
                State::Failed => (
                    "failed",
                    json!({"reason": error.as_ref().map(|e| &e.code),
                        "failure_class": execution.and_then(|e| e.failure_class),
                        "duration_ms": duration_ms, "retries": retries}),
                ),
                _ => return None,
            }
        }
        Event::Recovered { decision } => ("recovered", json!({"decision": decision})),
        Event::Undone { summary } => ("rolled_back", json!({"summary": summary})),
        Event::AttemptFailed { .. }
        | Event::Executed { .. }
        | Event::UndoDispatched { .. }
        | Event::UndoFailed { .. }
        | Event::Document { .. }
        | Event::Service { .. } => return None,
    };
    let mut line = Map::new();
    line.insert("ts".to_owned(), json!(time::offset(entry.at)));
    line.insert("action_id".to_owned(), json!(record.action_id));
    line.insert("event".to_owned(), json!(event));
    if let Value::Object(extra) = extra {
        line.extend(extra);
    }
    Some(Value::Object(line))
}
