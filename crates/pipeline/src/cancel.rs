//! Cancel: a waiting or running action ends; what had begun is stopped. And the pipeline's own end.

use std::{sync::Arc, time::Duration};

use steadyhand_core::{
    action::State,
    caller::{Caller, Scope},
    id::ActionId,
};
use tokio::time::Instant;

use crate::{
    Answer, Pipeline, PipelineError,
    answer::{codes, note},
    draft::Draft,
    run::detached,
};

/// How long a cancel waits for the executor to let go.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);
/// How often a draining pipeline looks whether all have ended.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

impl Pipeline {
    /// Cancels an action. One's own needs no scope beyond `act`; another's needs `approve`.
    ///
    /// # Errors
    /// As [`Pipeline::run`].
    pub async fn cancel(&self, id: &ActionId, by: &Caller) -> Result<Answer, PipelineError> {
        let (pipeline, id, by) = (self.clone(), id.clone(), by.clone());
        detached(async move { pipeline.stop(&id, &by).await }).await
    }

    async fn stop(&self, id: &ActionId, by: &Caller) -> Result<Answer, PipelineError> {
        let inner = &*self.inner;
        let Some(record) = self.get(id).await? else { return Ok(Answer::not_found(id)) };
        if record.caller != by.name && !by.may(Scope::Approve) {
            let message = "the action is another caller's; cancelling it needs the scope `approve`";
            return Ok(Answer::of(record, None).but(codes::FORBIDDEN, message));
        }
        if let Some(draft) = inner.pending.take(id) {
            let answer = self.withdraw(draft, by).await;
            if answer.is_err() {
                self.readmit(id).await;
            }
            return answer;
        }
        let Some((mut latest, cancel)) = inner.live.watch(id) else {
            return self.wrong_state(id, "cancel").await;
        };
        cancel.cancel();
        let _ = tokio::time::timeout(CANCEL_PATIENCE, latest.wait_for(|r| r.ended())).await;
        let Some(record) = self.get(id).await? else { return Ok(Answer::not_found(id)) };
        match record.state {
            State::Cancelled => Ok(Answer { ok: true, ..Answer::of(record, None) }),
            state if record.ended() => {
                let message = format!("Cannot cancel action in state '{state}'");
                Ok(Answer::of(record, None).but(codes::INVALID_STATE, message))
            }
            _ => {
                let message = "the executor has been told to stop and hasn't yet; look again";
                Ok(Answer::of(record, None).but(codes::INVALID_STATE, message))
            }
        }
    }

    /// Ends a waiting action, unless its time is up already.
    async fn withdraw(&self, mut draft: Draft, by: &Caller) -> Result<Answer, PipelineError> {
        let inner = &*self.inner;
        if self.expire_now(&mut draft).await? {
            return self.wrong_state(draft.id(), "cancel").await;
        }
        let error = note(codes::CANCELLED, format!("cancelled by {}", by.name));
        draft.end(inner, State::Cancelled, None, Some(error));
        draft.commit_outcome(inner).await?;
        Ok(Answer { ok: true, ..Answer::of(Arc::new(draft.record), None) })
    }

    /// Takes no more actions and waits up to `drain` for those that run; what runs still is cancelled,
    /// and what doesn't end even then is settled at the next start. Tells how many were left.
    pub async fn shut_down(&self, drain: Duration) -> usize {
        self.inner.running.close();
        if self.idle_within(drain).await {
            return 0;
        }
        self.inner.live.cancel_all();
        self.idle_within(CANCEL_PATIENCE).await;
        self.running()
    }

    /// How many are on their way, first commits and undos included.
    fn running(&self) -> usize {
        self.inner.parts.limits.running_max - self.inner.running.available_permits()
    }

    async fn idle_within(&self, wait: Duration) -> bool {
        let began = Instant::now();
        while self.running() > 0 {
            if began.elapsed() >= wait {
                return false;
            }
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        true
    }
}
