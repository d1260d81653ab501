//! The newest executions (contract 5.1, route 8): a bounded list in memory, beside the journal.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use serde_json::{Value, json};
use steadyhand_core::{
    executor::{
        Attempt, Availability, Executed, Executor, Prepared, Probe, UndoError, UndoMode, Undone, Verification,
    },
    failure::{Failure, Status},
    redact::mask_text,
    time::Clock,
};
use tokio_util::sync::CancellationToken;

use crate::wire::time;

/// Executions that are remembered for the list.
const REMEMBERED_MAX: usize = 1000;

/// An executor that remembers its newest executions.
pub struct LoggedExecutor {
    hands: Arc<dyn Executor>,
    clock: Arc<dyn Clock>,
    newest: Mutex<(VecDeque<Value>, u64)>,
}

impl LoggedExecutor {
    /// Puts a log around `hands`.
    #[must_use]
    pub fn new(hands: Arc<dyn Executor>, clock: Arc<dyn Clock>) -> Self {
        Self { hands, clock, newest: Mutex::default() }
    }

    /// The body of `GET /logs/execution`: the last `limit` entries, all for 0 or less.
    pub(super) fn newest(&self, limit: i64) -> Value {
        let newest = self.newest.lock().expect("no code under this lock can panic");
        let (entries, total) = &*newest;
        let wanted = usize::try_from(limit).ok().filter(|n| *n > 0).unwrap_or(entries.len());
        let skip = entries.len().saturating_sub(wanted);
        let logs: Vec<&Value> = entries.iter().skip(skip).collect();
        json!({"logs": logs, "total": total, "returned": logs.len()})
    }

    fn remember(&self, attempt: &Attempt, outcome: &Result<Executed, Failure>) {
        let mut entry = json!({
            "timestamp": time::zulu(self.clock.now()),
            "tool_name": attempt.intent,
            "status": status_word(outcome),
            "correlation_id": attempt.correlation_id,
        });
        if let Err(failure) = outcome {
            entry["error"] = json!(mask_text(&failure.message));
        }
        let mut newest = self.newest.lock().expect("no code under this lock can panic");
        if newest.0.len() == REMEMBERED_MAX {
            newest.0.pop_front();
        }
        newest.0.push_back(entry);
        newest.1 += 1;
    }
}

/// The executor's own word for an outcome (contract 5.2).
pub(super) fn status_word(outcome: &Result<Executed, Failure>) -> &'static str {
    match outcome.as_ref().map_err(|f| f.status) {
        Ok(_) => "executed",
        Err(Status::PolicyDenied) => "policy_denied",
        Err(Status::Timeout) => "timeout",
        Err(Status::NotImplemented) => "not_implemented",
        Err(Status::Error | Status::NotReached | Status::Full | Status::CircuitOpen | Status::Cancelled) => {
            "error"
        }
    }
}

#[async_trait]
impl Executor for LoggedExecutor {
    async fn prepare(&self, attempt: &Attempt) -> Result<Prepared, Failure> {
        self.hands.prepare(attempt).await
    }

    async fn execute(&self, attempt: &Attempt, cancel: &CancellationToken) -> Result<Executed, Failure> {
        let outcome = self.hands.execute(attempt, cancel).await;
        self.remember(attempt, &outcome);
        outcome
    }

    async fn verify(&self, attempt: &Attempt, executed: &Executed) -> Verification {
        self.hands.verify(attempt, executed).await
    }

    async fn probe(&self, attempt: &Attempt) -> Probe {
        self.hands.probe(attempt).await
    }

    async fn undo(
        &self,
        attempt: &Attempt,
        pre_image: Option<&[u8]>,
        mode: UndoMode,
    ) -> Result<Undone, UndoError> {
        self.hands.undo(attempt, pre_image, mode).await
    }

    fn availability(&self, intent: &str) -> Availability {
        self.hands.availability(intent)
    }
}
