//! Recover: what a crash left in doubt is settled before the first request is taken.
//!
//! A dispatched action without an outcome runs again if that can do no harm; otherwise the world is
//! asked, and where it can't tell, the outcome is unknown and stays so. Nothing is lost, nothing is
//! done twice.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use steadyhand_core::{
    action::{ActionRecord, Execution, State},
    capability::RepeatSafe,
    event::Event,
    executor::{Attempt, Executed, Probe},
    failure::FailureClass,
    id::AttemptId,
    store::StoreError,
};
use steadyhand_policy::{Decision, Query};

use crate::{
    Exact, Pipeline, PipelineError,
    answer::{codes, note},
    draft::Draft,
    look,
    undo::Known,
    verify,
};

/// What recovery found and decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Dispatched actions that run again.
    pub rerun: usize,
    /// Dispatched actions whose effect is there.
    pub confirmed: usize,
    /// Dispatched actions of which nobody can say.
    pub outcome_unknown: usize,
    /// Actions that wait for a person again.
    pub waiting: usize,
    /// Actions that ended: expired, or accepted and never dispatched.
    pub ended: usize,
    /// Undos that were settled.
    pub undos: usize,
}

impl Pipeline {
    /// Settles everything that the last run left unfinished. Reruns go on in the background.
    ///
    /// # Errors
    /// When the journal can't be read or written.
    pub async fn recover(&self) -> Result<Recovery, PipelineError> {
        let mut recovery = Recovery::default();
        for record in self.inner.parts.store.unfinished().await? {
            if record.undoing {
                recovery.undos += 1;
                self.settle_undo(record).await?;
                continue;
            }
            match record.state {
                State::Executing | State::Verifying => self.settle_doubt(record, &mut recovery).await?,
                _ if self.may_wait_again(&record) => {
                    recovery.waiting += 1;
                    self.wait_again(record).await;
                }
                _ => {
                    recovery.ended += 1;
                    self.end_unasked(record).await?;
                }
            }
        }
        Ok(recovery)
    }

    fn may_wait_again(&self, record: &ActionRecord) -> bool {
        let now = self.inner.parts.clock.now();
        record.seal.as_ref().is_some_and(|s| now < s.expires_at) && record.dispatch.is_none()
    }

    /// Lets a person answer the question again, for what is left of its time.
    pub(crate) async fn wait_again(&self, record: ActionRecord) {
        let inner = &*self.inner;
        let Ok(Exact::Params(params)) = inner.exact_params(&record).await else { return };
        let expires_at = record.seal.as_ref().map(|s| s.expires_at).unwrap_or_default();
        let left = expires_at.since(inner.parts.clock.now());
        let (id, draft) = (record.action_id.clone(), self.draft(record, params));
        inner.pending.readmit(draft);
        self.expire_later(id, left);
    }

    async fn end_unasked(&self, record: ActionRecord) -> Result<(), StoreError> {
        let inner = &*self.inner;
        let asked = record.seal.is_some();
        let mut draft = self.draft(record, Map::new());
        if asked {
            draft.push(inner, Event::ApprovalExpired);
        } else {
            draft.push(inner, Event::Recovered { decision: "cancelled".to_owned() });
            let error = note(codes::CANCELLED, "the service stopped before it was dispatched");
            draft.end(inner, State::Cancelled, None, Some(error));
        }
        draft.commit_outcome(inner).await
    }

    async fn settle_doubt(&self, record: ActionRecord, recovery: &mut Recovery) -> Result<(), PipelineError> {
        let inner = &*self.inner;
        let capability = inner.parts.registry.get(&record.intent).cloned();
        let (Some(capability), Some(known)) = (capability, Known::of(inner, &record).await?) else {
            recovery.outcome_unknown += 1;
            return Ok(self.end_unknown(record).await?);
        };
        let repeat_safe = match self.denied_by_now(&record, &known) {
            true => RepeatSafe::Never,
            false => capability.repeat_safe,
        };
        let probe = match repeat_safe {
            RepeatSafe::Always => Probe::NotDone,
            RepeatSafe::Never | RepeatSafe::WhenProbed => look::probe(inner, known.attempt()).await,
        };
        match (repeat_safe, probe) {
            (RepeatSafe::Always, _) | (RepeatSafe::WhenProbed, Probe::Done | Probe::NotDone) => {
                recovery.rerun += 1;
                self.rerun(record, known);
            }
            (RepeatSafe::Never, Probe::Done) => {
                recovery.confirmed += 1;
                self.end_confirmed(record, &known).await?;
            }
            (RepeatSafe::Never, Probe::NotDone) | (_, Probe::Undecidable) => {
                recovery.outcome_unknown += 1;
                self.end_unknown(record).await?;
            }
        }
        Ok(())
    }

    /// Whether the operator has come to deny it: a start must not repeat that.
    fn denied_by_now(&self, record: &ActionRecord, known: &Known) -> bool {
        let Value::Object(params) = &known.attempt().params else { return true };
        let query = Query { intent: &record.intent, params, caller: &record.caller };
        self.inner.parts.policy.current().decide(&query).decision == Decision::Deny
    }

    /// Runs it again in the background, as the next attempt of the same action.
    fn rerun(&self, record: ActionRecord, known: Known) {
        let Value::Object(params) = known.attempt().params.clone() else { return };
        let next = record.dispatch.as_ref().map_or(1, |d| d.attempt + 1);
        let mut draft = self.draft(record, params);
        draft.push(&self.inner, Event::Recovered { decision: "rerun".to_owned() });
        let pipeline = self.clone();
        // Before the first request is taken: a repeat must find it running, and wait.
        let present = self.inner.live.enter(&draft.record).expect("an action is recovered once");
        tokio::spawn(async move {
            let id = draft.id().clone();
            // More may be in doubt than may run at once now, if that bound was lowered: each takes its turn.
            // Without a turn the service is stopping, and the next start settles it.
            let running = Arc::clone(&pipeline.inner.running);
            let Ok(permit) = running.acquire_owned().await else { return };
            if let Err(error) = pipeline.execute_present(draft, None, next, (permit, present)).await {
                tracing::error!(action_id = %id, %error, "a recovered action could not be finished");
            }
        });
    }

    async fn end_confirmed(&self, record: ActionRecord, known: &Known) -> Result<(), StoreError> {
        let inner = &*self.inner;
        let mut draft = self.draft(record, Map::new());
        draft.push(inner, Event::Recovered { decision: "confirmed".to_owned() });
        let executed = Executed { result: Value::Object(Map::new()), side_effects: Vec::new() };
        let seen = verify::verify(inner, &mut draft, known.attempt(), &executed).await;
        let (state, error) = verify::ending(Some(&seen));
        let mut execution = interrupted(&draft.record);
        execution.success = state == State::Succeeded;
        execution.verification = Some(seen);
        if let Some(error) = &error {
            execution.error_code = Some(error.code.clone());
            execution.error_message = Some(error.message.clone());
            execution.failure_class = Some(FailureClass::ExecutionError);
        }
        draft.end(inner, state, Some(execution), error);
        draft.commit_outcome(inner).await
    }

    async fn end_unknown(&self, record: ActionRecord) -> Result<(), StoreError> {
        let inner = &*self.inner;
        let mut draft = self.draft(record, Map::new());
        draft.push(inner, Event::Recovered { decision: "outcome_unknown".to_owned() });
        let message =
            "the service stopped after it was dispatched, and the world can't tell whether it took effect";
        let mut execution = interrupted(&draft.record);
        execution.error_code = Some(codes::OUTCOME_UNKNOWN.to_owned());
        execution.error_message = Some(message.to_owned());
        execution.failure_class = Some(FailureClass::Unknown);
        let error = Some(note(codes::OUTCOME_UNKNOWN, message));
        draft.end(inner, State::Failed, Some(execution), error);
        draft.commit_outcome(inner).await
    }

    async fn settle_undo(&self, record: ActionRecord) -> Result<(), StoreError> {
        let inner = &*self.inner;
        let probe = match Known::of(inner, &record).await? {
            Some(known) => {
                // What the executor remembers of the attempt is older than the undo; only the world can tell.
                let attempt_id = AttemptId::mint(&*inner.parts.entropy);
                look::probe(inner, &Attempt { attempt_id, ..known.attempt().clone() }).await
            }
            None => Probe::Undecidable,
        };
        let mut draft = self.draft(record, Map::new());
        match probe {
            Probe::NotDone => {
                let summary = "put back before the service stopped".to_owned();
                draft.push(inner, Event::Undone { summary });
            }
            Probe::Done | Probe::Undecidable => {
                let message = "the service stopped before anything was put back; undo it again".to_owned();
                draft.push(inner, Event::UndoFailed { message });
            }
        }
        draft.commit_outcome(inner).await
    }

    fn draft(&self, record: ActionRecord, params: Map<String, Value>) -> Draft {
        let capability = self.inner.parts.registry.get(&record.intent).cloned();
        Draft::resume(record, capability, params)
    }
}

/// What is known of an execution that a crash cut short: how often it was tried, and nothing more.
fn interrupted(record: &ActionRecord) -> Execution {
    Execution {
        success: false,
        output: Value::Object(Map::new()),
        side_effects: Vec::new(),
        error_code: None,
        error_message: None,
        failure_class: None,
        retries_used: record.retry_count,
        duration_ms: steadyhand_core::time::millis(Duration::ZERO),
        verification: None,
        output_bytes: 0,
        output_evicted: false,
    }
}
