//! The road of an action, from request to answer.

use std::sync::{Arc, atomic::Ordering};

use steadyhand_core::{
    action::{ActionRecord, Request, State},
    caller::Caller,
    digest::Digest,
    id::ActionId,
    step::Step,
    store::StoreError,
};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::Instant,
};

use crate::{
    Answer, Pipeline, PipelineError,
    answer::codes,
    draft::Draft,
    execute,
    ledger::Claimed,
    output,
    plan::{plan, request_digest},
    validate::{Verdict, validate},
};

impl Pipeline {
    /// Runs a request: planned, validated, and, where nobody needs to be asked, executed and verified.
    ///
    /// The action goes on when the caller goes away; a repeat with the same key finds its outcome.
    ///
    /// # Errors
    /// [`PipelineError`] when nothing can be said about an action: too much work, or the journal failed.
    pub async fn run(&self, caller: Caller, request: Request) -> Result<Answer, PipelineError> {
        let pipeline = self.clone();
        detached(async move { pipeline.road(caller, request).await }).await
    }

    async fn road(self, caller: Caller, request: Request) -> Result<Answer, PipelineError> {
        let inner = &*self.inner;
        let began = Instant::now();
        let id = ActionId::mint(&*inner.parts.entropy);
        let Some(key) = request.idempotency_key.clone() else {
            return self.travel(&caller, request, id, None, began).await;
        };
        let digest = request_digest(inner, &request);
        let wait = request.timeout;
        let held = match inner.ledger.claim((caller.name.clone(), key.clone()), &id, &digest) {
            Claimed::Taken { action_id, request, done } => {
                return self.join(action_id, request == digest, done, wait).await;
            }
            Claimed::Mine(guard) => guard,
        };
        let now = inner.parts.clock.now();
        if let Some(claim) = inner.parts.store.claim(&caller.name, &key, now).await? {
            let same = claim.request_digest == digest;
            return self.repeat(claim.action_id, same, wait).await;
        }
        let answer = self.travel(&caller, request, id, Some(digest.clone()), began).await;
        drop(held);
        match answer {
            // Another process on the same journal was first.
            Err(PipelineError::Journal(StoreError::KeyTaken(first))) => self.repeat(first, true, wait).await,
            answer => answer,
        }
    }

    /// Plan, validate, and then: the answer, the question, or the run.
    async fn travel(
        &self,
        caller: &Caller,
        request: Request,
        id: ActionId,
        digest: Option<Digest>,
        began: Instant,
    ) -> Result<Answer, PipelineError> {
        let inner = &*self.inner;
        let permit = self.admit()?;
        let mut draft = plan(inner, caller, request, id, digest, began);
        draft.reached(inner, Step::Planned);
        match validate(inner, &mut draft) {
            Verdict::Invalid | Verdict::Denied => draft.commit_outcome(inner).await?,
            _ if draft.record.dry_run => {
                draft.reached(inner, Step::Validated);
                draft.end(inner, State::Validated, None, None);
                draft.commit_outcome(inner).await?;
            }
            Verdict::Ask => {
                draft.reached(inner, Step::Validated);
                return self.ask(draft).await;
            }
            Verdict::Allowed => {
                draft.reached(inner, Step::Validated);
                return self.execute(draft, None, 1, permit).await;
            }
        }
        Ok(Answer::of(Arc::new(draft.record), None))
    }

    /// Executes, verifies, and makes the outcome durable.
    pub(crate) async fn execute(
        &self,
        mut draft: Draft,
        prepared: Option<steadyhand_core::executor::Prepared>,
        first: u32,
        _permit: OwnedSemaphorePermit,
    ) -> Result<Answer, PipelineError> {
        let inner = &*self.inner;
        let capability = draft.capability.clone().expect("validation let through known capabilities only");
        let present = inner.live.enter(&draft.record).expect("an action is dispatched by one task only");
        execute::execute(inner, &mut draft, &capability, prepared, first, &present.cancel).await?;
        draft.commit_outcome(inner).await?;
        Ok(Answer::of(Arc::new(draft.record), draft.output))
    }

    /// Takes one of the places for running actions.
    pub(crate) fn admit(&self) -> Result<OwnedSemaphorePermit, PipelineError> {
        if !self.inner.accepting.load(Ordering::Acquire) {
            return Err(PipelineError::Stopping);
        }
        let full = |_| PipelineError::Overloaded(self.inner.parts.limits.running_max);
        Arc::clone(&self.inner.running).try_acquire_owned().map_err(full)
    }

    /// Waits for the run that holds the key, then answers like it.
    async fn join(
        &self,
        id: ActionId,
        same: bool,
        mut done: watch::Receiver<()>,
        wait: std::time::Duration,
    ) -> Result<Answer, PipelineError> {
        if same {
            // Closing is the only thing that this channel ever says.
            let _ = tokio::time::timeout(wait, done.changed()).await;
        }
        self.repeat(id, same, std::time::Duration::ZERO).await
    }

    /// Answers a repeat with what the first request came to, once it has, or after `wait`.
    async fn repeat(
        &self,
        id: ActionId,
        same: bool,
        wait: std::time::Duration,
    ) -> Result<Answer, PipelineError> {
        let inner = &*self.inner;
        if same && let Some((mut record, _)) = inner.live.watch(&id) {
            let settled = |r: &Arc<ActionRecord>| r.ended() || r.state == State::PendingApproval;
            let _ = tokio::time::timeout(wait, record.wait_for(settled)).await;
        }
        let Some(record) = self.get(&id).await? else { return Ok(Answer::not_found(&id)) };
        if !same {
            let message = format!("the idempotency key belongs to another request, {id}; use a new key");
            return Ok(Answer::of(record, None).but(codes::IDEMPOTENCY_CONFLICT, message));
        }
        let output = output::exact(inner, &record).await?;
        if output.is_some()
            || record.execution.as_ref().is_none_or(|e| e.output.is_null() || e.output_bytes == 0)
        {
            return Ok(Answer::of(record, output));
        }
        let mut evicted = (*record).clone();
        if let Some(execution) = &mut evicted.execution {
            execution.output_evicted = true;
        }
        Ok(Answer::of(Arc::new(evicted), None))
    }
}

/// Runs `work` to its end even if whoever waits for it goes away.
pub(crate) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, PipelineError>> + Send + 'static,
) -> Result<T, PipelineError> {
    match tokio::spawn(work).await {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "an action's task ended without an answer");
            Err(PipelineError::Journal(StoreError::Fatal("an action's task broke off".to_owned())))
        }
    }
}
