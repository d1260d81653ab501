//! Undo: puts back what a reversible action changed, unless the world moved on since.

use std::sync::Arc;

use serde_json::Value;
use steadyhand_core::{
    action::{ActionRecord, State},
    caller::Caller,
    event::Event,
    executor::{Attempt, UndoError, UndoMode, Undone},
    failure::Failure,
    id::ActionId,
    step::Step,
    store::{Found, PayloadKind, StoreError},
};

use crate::{
    Answer, Exact, Inner, Pipeline, PipelineError, UndoReport, answer::codes, draft::Draft, run::detached,
};

impl Pipeline {
    /// Undoes a succeeded action, or tells what an undo would do.
    ///
    /// # Errors
    /// As [`Pipeline::run`].
    pub async fn undo(&self, id: &ActionId, by: &Caller, mode: UndoMode) -> Result<Answer, PipelineError> {
        let (pipeline, id, by) = (self.clone(), id.clone(), by.name.clone());
        detached(async move { pipeline.put_back(&id, by, mode).await }).await
    }

    async fn put_back(&self, id: &ActionId, by: String, mode: UndoMode) -> Result<Answer, PipelineError> {
        let inner = &*self.inner;
        let Some(record) = self.get(id).await? else { return Ok(Answer::not_found(id)) };
        if record.state != State::Succeeded || record.undoing {
            return self.wrong_state(id, "undo").await;
        }
        if inner.parts.registry.get(&record.intent).is_none_or(|c| !c.reversible) {
            let message = format!("{} can't be undone", record.intent);
            return Ok(Answer::of(record, None).but(codes::NOT_REVERSIBLE, message));
        }
        let Some(known) = Known::of(inner, &record).await? else {
            let message = "retention dropped what was there before";
            return Ok(Answer::of(record, None).but(codes::PAYLOAD_EXPIRED, message));
        };
        let plan = known.undo(inner, UndoMode::DryRun).await;
        let plan = match (plan, mode) {
            (Ok(undone), UndoMode::DryRun) => return Ok(reported(record, undone, true)),
            (Err(error), _) => return Ok(refused(record, error, mode)),
            (Ok(undone), UndoMode::Real) => undone,
        };
        let permit = self.admit()?;
        let Some(present) = inner.live.enter(&record) else {
            return self.wrong_state(id, "undo").await;
        };
        // Only now is this the one undo that runs; another may have ended just before.
        let Some(record) = inner.parts.store.action(id).await? else { return Ok(Answer::not_found(id)) };
        if record.state != State::Succeeded || record.undoing {
            drop(present);
            return self.wrong_state(id, "undo").await;
        }
        let mut draft = Draft::resume(record, None, serde_json::Map::new());
        draft.push(inner, Event::UndoDispatched { by });
        draft.commit(inner).await?;
        draft.reached(inner, Step::UndoDispatched);
        let done = known.undo(inner, UndoMode::Real).await;
        draft.reached(inner, Step::UndoExecuted);
        match &done {
            Ok(undone) => draft.push(inner, Event::Undone { summary: undone.summary.clone() }),
            Err(error) => draft.push(inner, Event::UndoFailed { message: error.to_string() }),
        }
        draft.commit_outcome(inner).await?;
        drop((present, permit));
        let record = Arc::new(draft.record);
        Ok(match done {
            Ok(undone) => reported(record, Undone { diff: plan.diff.or(undone.diff), ..undone }, false),
            Err(error) => refused(record, error, mode),
        })
    }
}

/// What an undo works from: the action's last attempt, and what was there before it.
pub(crate) struct Known {
    attempt: Attempt,
    pre_image: Option<Vec<u8>>,
}

impl Known {
    /// Reads it back; `None` when retention dropped a part of it.
    pub(crate) async fn of(inner: &Inner, record: &ActionRecord) -> Result<Option<Self>, StoreError> {
        let Some(dispatch) = &record.dispatch else { return Ok(None) };
        let Exact::Params(params) = inner.exact_params(record).await? else { return Ok(None) };
        let pre_image = if dispatch.pre_image {
            match inner.parts.store.payload(record.action_id.as_str(), PayloadKind::PreImage).await? {
                Found::Bytes(bytes) => Some(bytes),
                Found::Expired | Found::Never => return Ok(None),
            }
        } else {
            None
        };
        let attempt = Attempt {
            attempt_id: dispatch.attempt_id.clone(),
            action_id: record.action_id.clone(),
            intent: record.intent.clone(),
            correlation_id: record.correlation_id.clone(),
            params: Value::Object(params),
            timeout: record.timeout(),
            operands: dispatch.operands.clone(),
            allow_bare: false,
            extra_programs: Vec::new(),
        };
        Ok(Some(Self { attempt, pre_image }))
    }

    /// The action's last attempt, with the operands as they were before the first.
    pub(crate) fn attempt(&self) -> &Attempt {
        &self.attempt
    }

    async fn undo(&self, inner: &Inner, mode: UndoMode) -> Result<Undone, UndoError> {
        let work = inner.parts.executor.undo(&self.attempt, self.pre_image.as_deref(), mode);
        tokio::time::timeout(self.attempt.timeout, work).await.unwrap_or_else(|_| {
            let effect = steadyhand_core::failure::Effect::Unknown;
            Err(UndoError::Failed(Failure::timeout("the undo took too long", effect)))
        })
    }
}

fn reported(record: Arc<ActionRecord>, undone: Undone, dry_run: bool) -> Answer {
    let undo = UndoReport { summary: undone.summary, diff: undone.diff, dry_run };
    Answer { ok: true, undo: Some(undo), ..Answer::of(record, None) }
}

fn refused(record: Arc<ActionRecord>, error: UndoError, mode: UndoMode) -> Answer {
    let answer = Answer::of(record, None);
    let message = error.to_string();
    match error {
        UndoError::Conflict { diff, .. } => {
            let dry_run = mode == UndoMode::DryRun;
            let undo = Some(UndoReport { summary: message.clone(), diff, dry_run });
            Answer { undo, ..answer.but(codes::UNDO_CONFLICT, message) }
        }
        UndoError::NotReversible(_) => answer.but(codes::NOT_REVERSIBLE, message),
        UndoError::Failed(failure) => {
            let code = failure.code.clone().unwrap_or_else(|| codes::EXECUTION_FAILED.to_owned());
            answer.but(&code, message)
        }
    }
}
