//! Approve: a person decides, once, about exactly what was shown, within 120 s.

use std::sync::Arc;

use steadyhand_core::{
    action::State,
    approval::{Seal, Stale},
    caller::Caller,
    event::Event,
    executor::Prepared,
    failure::Failure,
    id::ActionId,
    step::Step,
    time::millis,
};
use steadyhand_policy::Decision;

use crate::{
    Answer, Inner, Pipeline, PipelineError,
    answer::{codes, note},
    draft::Draft,
    execute::new_attempt,
    look,
    run::detached,
    validate,
};

impl Pipeline {
    /// Seals what will be shown, makes the question durable, and waits for nobody.
    pub(crate) async fn ask(&self, mut draft: Draft) -> Result<Answer, PipelineError> {
        let inner = &*self.inner;
        let place = match inner.pending.reserve(&draft, &inner.parts.limits) {
            Ok(place) => place,
            Err(whose) => {
                let message = format!("too many actions of {whose} wait for approval; decide on some first");
                return Ok(Answer::not_kept(&draft.record.intent, codes::APPROVAL_LIMIT, message));
            }
        };
        // An operand that can't be looked at fails when it runs; the question is asked all the same.
        let operands = operands(inner, &draft).await.map(|p| p.operands).unwrap_or_default();
        let expires_at = inner.parts.clock.now().plus(inner.parts.limits.approval_life);
        let seal = Seal { operands, expires_at, ..current_seal(inner, &draft) };
        draft.push(inner, Event::Asked { seal });
        draft.commit(inner).await?;
        draft.reached(inner, Step::AskDurable);
        let record = Arc::new(draft.record.clone());
        place.fill(draft);
        self.expire_later(record.action_id.clone(), inner.parts.limits.approval_life);
        Ok(Answer::of(record, None))
    }

    /// A person's yes: what was shown runs, if it is still what was shown.
    ///
    /// # Errors
    /// As [`Pipeline::run`].
    pub async fn approve(&self, id: &ActionId, by: &Caller) -> Result<Answer, PipelineError> {
        let Some(draft) = self.inner.pending.take(id) else {
            return self.wrong_state(id, "approve").await;
        };
        let (pipeline, by, id) = (self.clone(), by.name.clone(), id.clone());
        detached(async move {
            let answer = pipeline.release(draft, by).await;
            if answer.is_err() {
                pipeline.readmit(&id).await;
            }
            answer
        })
        .await
    }

    /// A person's no.
    ///
    /// # Errors
    /// As [`Pipeline::run`].
    pub async fn deny(
        &self,
        id: &ActionId,
        by: &Caller,
        reason: Option<String>,
    ) -> Result<Answer, PipelineError> {
        let Some(draft) = self.inner.pending.take(id) else {
            return self.wrong_state(id, "deny").await;
        };
        let (pipeline, by, id) = (self.clone(), by.name.clone(), id.clone());
        detached(async move {
            let answer = pipeline.refuse(draft, by, reason).await;
            if answer.is_err() {
                pipeline.readmit(&id).await;
            }
            answer
        })
        .await
    }

    async fn refuse(
        &self,
        mut draft: Draft,
        by: String,
        reason: Option<String>,
    ) -> Result<Answer, PipelineError> {
        let inner = &*self.inner;
        if self.expire_now(&mut draft).await? {
            return self.wrong_state(draft.id(), "deny").await;
        }
        let wait_ms = waited_ms(inner, &draft);
        draft.push(inner, Event::Denied { by, reason, wait_ms });
        draft.commit_outcome(inner).await?;
        Ok(Answer { ok: true, ..Answer::of(Arc::new(draft.record), None) })
    }

    async fn release(&self, mut draft: Draft, by: String) -> Result<Answer, PipelineError> {
        let inner = &*self.inner;
        if self.expire_now(&mut draft).await? {
            return self.wrong_state(draft.id(), "approve").await;
        }
        let permit = self.admit()?;
        match still_as_shown(inner, &draft).await {
            Ok(prepared) => {
                draft.reached(inner, Step::Approved);
                let wait_ms = waited_ms(inner, &draft);
                draft.push(inner, Event::Approved { by, wait_ms });
                self.execute(draft, prepared, 1, permit).await
            }
            Err(stale) => {
                let message = format!("not run: {stale}; ask again");
                let error = note(codes::APPROVAL_STALE, message);
                draft.end(inner, State::Cancelled, None, Some(error));
                draft.commit_outcome(inner).await?;
                Ok(Answer::of(Arc::new(draft.record), None))
            }
        }
    }

    /// Ends a waiting action whose time is up; tells whether it was.
    pub(crate) async fn expire_now(&self, draft: &mut Draft) -> Result<bool, PipelineError> {
        let inner = &*self.inner;
        let now = inner.parts.clock.now();
        if draft.record.seal.as_ref().is_some_and(|s| now < s.expires_at) {
            return Ok(false);
        }
        draft.push(inner, Event::ApprovalExpired);
        draft.commit_outcome(inner).await?;
        Ok(true)
    }

    /// Ends the action after `wait`, if it waits still.
    pub(crate) fn expire_later(&self, id: ActionId, wait: std::time::Duration) {
        let pipeline = self.clone();
        tokio::spawn(async move {
            let mut wait = wait;
            loop {
                tokio::time::sleep(wait).await;
                let Some(mut draft) = pipeline.inner.pending.take(&id) else { return };
                match pipeline.expire_now(&mut draft).await {
                    Ok(true) => return,
                    Ok(false) => {
                        // The wall clock was set back meanwhile.
                        wait = pipeline.inner.parts.limits.approval_life;
                        pipeline.inner.pending.readmit(draft);
                    }
                    Err(error) => {
                        tracing::error!(action_id = %id, %error, "an expiry could not be written");
                        return;
                    }
                }
            }
        });
    }

    /// After a failed commit, lets the question be answered again as the journal still knows it.
    pub(crate) async fn readmit(&self, id: &ActionId) {
        if let Ok(Some(record)) = self.inner.parts.store.action(id).await
            && record.state == State::PendingApproval
        {
            self.wait_again(record).await;
        }
    }

    /// The answer when an action isn't in the state that a verb needs.
    pub(crate) async fn wrong_state(&self, id: &ActionId, verb: &str) -> Result<Answer, PipelineError> {
        let Some(record) = self.get(id).await? else { return Ok(Answer::not_found(id)) };
        // In the state that the verb needs: somebody else was first and isn't done yet.
        let contested = if verb == "undo" { State::Succeeded } else { State::PendingApproval };
        let message = match record.state {
            state if state == contested => {
                format!("Cannot {verb} action: another decision on it is being made")
            }
            state => format!("Cannot {verb} action in state '{state}'"),
        };
        Ok(Answer::of(record, None).but(codes::INVALID_STATE, message))
    }
}

/// Compares what was shown with what would run, and gives the look it took for that.
async fn still_as_shown(inner: &Inner, draft: &Draft) -> Result<Option<Prepared>, Stale> {
    let shown = draft.record.seal.as_ref().ok_or(Stale::RequestChanged)?;
    if validate::rule(inner, draft).decision == Decision::Deny {
        return Err(Stale::PolicyChanged);
    }
    let prepared = match operands(inner, draft).await {
        Ok(prepared) => Some(prepared),
        Err(_) if shown.operands.is_empty() => None,
        Err(_) => return Err(Stale::OperandChanged { path: shown.operands[0].path.clone() }),
    };
    let operands = prepared.as_ref().map(|p| p.operands.clone()).unwrap_or_default();
    let current = Seal { operands, ..current_seal(inner, draft) };
    shown.releases(&current, inner.parts.clock.now())?;
    Ok(prepared)
}

/// Looks at the action's operands; capabilities that this build can't run have none to look at.
async fn operands(inner: &Inner, draft: &Draft) -> Result<Prepared, Failure> {
    if draft.capability.as_ref().is_none_or(|c| !c.implemented) {
        return Ok(Prepared::default());
    }
    look::prepare(inner, &new_attempt(inner, draft)).await
}

/// The seal that the request would get now, operands and expiry aside.
fn current_seal(inner: &Inner, draft: &Draft) -> Seal {
    Seal {
        caller: draft.record.caller.clone(),
        intent: draft.record.intent.clone(),
        params_digest: crate::plan::params_digest(inner, &draft.params),
        operands: Vec::new(),
        policy_version: inner.parts.policy.current().version().to_owned(),
        expires_at: steadyhand_core::time::Timestamp::default(),
    }
}

/// From shown to now.
fn waited_ms(inner: &Inner, draft: &Draft) -> f64 {
    // Being asked is the last thing that happened to it.
    millis(inner.parts.clock.now().since(draft.record.updated_at))
}
