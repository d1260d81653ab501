//! The road of an action, from request to answer.

use std::sync::Arc;

use steadyhand_core::{
    action::{ActionRecord, Request, State},
    caller::Caller,
    digest::Digest,
    id::ActionId,
    step::Step,
    store::{Claim, StoreError},
};
use tokio::{
    sync::{OwnedSemaphorePermit, TryAcquireError},
    time::{Instant, timeout_at},
};

use crate::{
    Answer, Pipeline, PipelineError,
    answer::codes,
    draft::Draft,
    execute,
    ledger::Claimed,
    live::Present,
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
        let until = began + request.timeout;
        let Some(key) = request.idempotency_key.clone() else {
            let id = ActionId::mint(&*inner.parts.entropy);
            return self.travel(&caller, request, id, None, began).await;
        };
        let digest = request_digest(inner, &request);
        // Each turn waits for one holder of the key. One that came to nothing leaves the key to the next.
        let (id, held) = loop {
            let id = ActionId::mint(&*inner.parts.entropy);
            match inner.ledger.claim((caller.name.clone(), key.clone()), &id, &digest) {
                Claimed::Mine(guard) => break (id, guard),
                Claimed::Taken { action_id, request: held, mut done } => {
                    // A holder that nobody can see yet may turn out to be a repeat itself.
                    let seen = held != digest && self.get(&action_id).await?.is_some();
                    // Closing is the only thing that this channel ever says.
                    if seen || timeout_at(until, done.changed()).await.is_err() {
                        return self.repeat(action_id, &request.intent, held == digest, until).await;
                    }
                }
            }
        };
        let intent = request.intent.clone();
        if let Some(first) = self.claimed(&caller, &key).await? {
            drop(held);
            return self.repeat(first.action_id, &intent, first.request_digest == digest, until).await;
        }
        let answer = self.travel(&caller, request, id, Some(digest.clone()), began).await;
        drop(held);
        match answer {
            // Another process on the same journal was first, perhaps with another request.
            Err(PipelineError::Journal(StoreError::KeyTaken(first))) => {
                let same = self.claimed(&caller, &key).await?.is_none_or(|c| c.request_digest == digest);
                self.repeat(first, &intent, same, until).await
            }
            answer => answer,
        }
    }

    /// The standing claim of the caller's key.
    async fn claimed(&self, caller: &Caller, key: &str) -> Result<Option<Claim>, StoreError> {
        let now = self.inner.parts.clock.now();
        self.inner.parts.store.claim(&caller.name, key, now).await
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

    /// Puts the action among the running ones, executes, verifies, and makes the outcome durable.
    pub(crate) async fn execute(
        &self,
        draft: Draft,
        prepared: Option<steadyhand_core::executor::Prepared>,
        first: u32,
        permit: OwnedSemaphorePermit,
    ) -> Result<Answer, PipelineError> {
        let present = self.inner.live.enter(&draft.record).expect("an action is dispatched by one task only");
        self.execute_present(draft, prepared, first, (permit, present)).await
    }

    /// As [`Pipeline::execute`], of an action that is among the running ones already.
    pub(crate) async fn execute_present(
        &self,
        mut draft: Draft,
        prepared: Option<steadyhand_core::executor::Prepared>,
        first: u32,
        (_permit, present): (OwnedSemaphorePermit, Present),
    ) -> Result<Answer, PipelineError> {
        let inner = &*self.inner;
        let capability = draft.capability.clone().expect("validation let through known capabilities only");
        execute::execute(inner, &mut draft, &capability, prepared, first, &present.cancel).await?;
        draft.commit_outcome(inner).await?;
        Ok(Answer::of(Arc::new(draft.record), draft.output))
    }

    /// Takes one of the places for running actions.
    pub(crate) fn admit(&self) -> Result<OwnedSemaphorePermit, PipelineError> {
        Arc::clone(&self.inner.running).try_acquire_owned().map_err(|refused| match refused {
            TryAcquireError::Closed => PipelineError::Stopping,
            TryAcquireError::NoPermits => PipelineError::Overloaded(self.inner.parts.limits.running_max),
        })
    }

    /// Answers a repeat with what the first request came to, once it has, or at `until`.
    async fn repeat(
        &self,
        id: ActionId,
        intent: &str,
        same: bool,
        until: Instant,
    ) -> Result<Answer, PipelineError> {
        let inner = &*self.inner;
        if same && let Some((mut record, _)) = inner.live.watch(&id) {
            let settled = |r: &Arc<ActionRecord>| r.ended() || r.state == State::PendingApproval;
            let _ = timeout_at(until, record.wait_for(settled)).await;
        }
        let record = self.get(&id).await?;
        if !same {
            let message = format!("the idempotency key belongs to another request, {id}; use a new key");
            return Ok(match record {
                Some(record) => Answer::of(record, None).but(codes::IDEMPOTENCY_CONFLICT, message),
                None => Answer::not_yet(id, intent, codes::IDEMPOTENCY_CONFLICT, message),
            });
        }
        let Some(record) = record else {
            let message = "the first request with this key isn't in the journal yet; ask again";
            return Ok(Answer::not_yet(id, intent, codes::TIMEOUT, message));
        };
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
