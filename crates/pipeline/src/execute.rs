//! Execute: dispatched durably, then handed over; one identifier per attempt; retried only by class,
//! within the deadline, and only where a repeat is safe (contract 1.9.3, 1.15).

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use steadyhand_core::{
    action::{Dispatch, Execution, State},
    capability::{Capability, RepeatSafe},
    event::Event,
    executor::{Attempt, Executed, Prepared, Probe, Verification},
    failure::{Effect, Failure, Status},
    id::AttemptId,
    redact::mask_text,
    step::Step,
    store::{Keep, Payload, PayloadKind, StoreError},
    time::millis,
};
use steadyhand_policy::Decision as Ruling;
use steadyhand_reliability::retry::{Decision, Failed};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    Inner,
    answer::{codes, note},
    draft::Draft,
    look::{self, ANSWER_GRACE},
    output, validate, verify,
};

/// The least time that an attempt gets, however near the deadline is.
const ATTEMPT_MIN: Duration = Duration::from_millis(1);

/// The loop's fixed facts.
struct Run<'a> {
    inner: &'a Inner,
    capability: &'a Capability,
    cancel: &'a CancellationToken,
    started: Instant,
    deadline: Duration,
    first: u32,
}

/// Runs the action to its end. The end is pushed but not committed.
///
/// `prepared` is a look at the operands that was just taken, if one was; `first` is the number of the
/// first attempt (more than 1 after a recovery).
///
/// # Errors
/// When a dispatch could not be made durable. Nothing was handed over then.
pub(crate) async fn execute(
    inner: &Inner,
    draft: &mut Draft,
    capability: &Capability,
    mut prepared: Option<Prepared>,
    first: u32,
    cancel: &CancellationToken,
) -> Result<(), StoreError> {
    let deadline = Duration::from_millis(draft.record.deadline_ms);
    let run = Run { inner, capability, cancel, started: Instant::now(), deadline, first };
    let mut number = first;
    // After a recovery an earlier attempt may have done something.
    let mut touched = first > 1;
    let mut last: Option<Failure> = None;
    loop {
        let mut attempt = new_attempt(inner, draft);
        let called = Instant::now();
        let before = draft.mark();
        let answer = match run.attempt(draft, &mut attempt, number, prepared.take(), touched).await {
            // Nothing was handed over this time: the attempt before was the last.
            Err(StoreError::DiskFull | StoreError::Overloaded(_)) if last.is_some() => {
                draft.go_back(before);
                let failure = last.expect("a guard looked");
                let safe = run.repeat_is_safe(draft, &attempt, failure.effect).await;
                run.failed(draft, number - 1, failure, safe);
                return Ok(());
            }
            answer => answer?,
        };
        let failure = match answer {
            Ok(executed) => {
                let duration_ms = millis(called.elapsed());
                let attempt_id = attempt.attempt_id.clone();
                draft.push(inner, Event::Executed { attempt_id, attempt: number, duration_ms });
                draft.reached(inner, Step::Executed);
                return run.executed(draft, &attempt, number, executed).await;
            }
            Err(failure) => unasked_race(draft, failure),
        };
        touched |= failure.effect != Effect::None;
        let safe = run.repeat_is_safe(draft, &attempt, failure.effect).await;
        let wait = run.wait_before_next(draft, &failure, number, safe);
        draft.push(
            inner,
            Event::AttemptFailed {
                attempt_id: attempt.attempt_id.clone(),
                attempt: number,
                class: failure.class,
                effect: failure.effect,
                message: mask_text(&failure.message).into_owned(),
                duration_ms: millis(called.elapsed()),
                retry_in_ms: wait.map(millis),
            },
        );
        let Some(wait) = wait else {
            run.failed(draft, number, failure, safe);
            return Ok(());
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {
                number += 1;
                last = Some(failure);
            }
            () = cancel.cancelled() => {
                let failure = Failure::cancelled("cancelled while waiting to retry", failure.effect);
                run.failed(draft, number, failure, safe);
                return Ok(());
            }
        }
    }
}

/// A new call of the executor for this action.
pub(crate) fn new_attempt(inner: &Inner, draft: &Draft) -> Attempt {
    let policy = inner.parts.policy.current();
    Attempt {
        attempt_id: AttemptId::mint(&*inner.parts.entropy),
        action_id: draft.id().clone(),
        intent: draft.record.intent.clone(),
        correlation_id: draft.record.correlation_id.clone(),
        params: Value::Object((*draft.params).clone()),
        timeout: draft.record.timeout(),
        operands: Vec::new(),
        allow_bare: policy.allow_bare(),
        extra_programs: policy.shell_allow().to_vec(),
    }
}

impl Run<'_> {
    /// One call: looked at, dispatched, made. The outer error is the journal's, the inner the attempt's.
    async fn attempt(
        &self,
        draft: &mut Draft,
        attempt: &mut Attempt,
        number: u32,
        prepared: Option<Prepared>,
        touched: bool,
    ) -> Result<Result<Executed, Failure>, StoreError> {
        if !self.capability.implemented {
            return Ok(Err(Failure::not_implemented("Tool not yet implemented")));
        }
        if self.cancel.is_cancelled() {
            return Ok(Err(Failure::cancelled("cancelled before it was dispatched", Effect::None)));
        }
        if number > 1 && validate::rule(self.inner, draft).decision == Ruling::Deny {
            return Ok(Err(Failure::denied("not repeated: the policy has come to deny it")));
        }
        if self.capability.has_effect {
            let prepared = match prepared {
                Some(prepared) => prepared,
                None => match look::prepare(self.inner, attempt).await {
                    Ok(prepared) => prepared,
                    Err(failure) => return Ok(Err(failure)),
                },
            };
            if let Some(failure) = self.moved_on(draft, attempt, &prepared, touched).await {
                return Ok(Err(failure));
            }
            attempt.operands.clone_from(&prepared.operands);
            self.dispatch(draft, attempt, number, prepared, touched).await?;
            if self.cancel.is_cancelled() {
                return Ok(Err(Failure::cancelled("cancelled before it was handed over", Effect::None)));
            }
        } else {
            // It changes nothing, so what was shown must be there at every attempt.
            attempt.operands = draft.record.seal.as_ref().map(|s| s.operands.clone()).unwrap_or_default();
            let operands = attempt.operands.clone();
            draft.push(self.inner, Event::Dispatched(self.dispatched(attempt, number, operands, false)));
            // It isn't worth a commit, but whoever looks sees that it runs.
            self.inner.live.update(&Arc::new(draft.record.clone()));
        }
        // The deadline bounds attempts too, not only the waits between them.
        let left = self.deadline.saturating_sub(self.started.elapsed());
        attempt.timeout = attempt.timeout.min(left.max(ATTEMPT_MIN));
        let budget = attempt.timeout + ANSWER_GRACE;
        let call = self.inner.parts.executor.execute(attempt, self.cancel);
        Ok(tokio::time::timeout(budget, call).await.unwrap_or_else(|_| {
            let effect = if self.capability.has_effect { Effect::Unknown } else { Effect::None };
            let waited = budget.as_millis();
            Err(Failure::timeout(format!("the executor gave no answer within {waited}ms"), effect))
        }))
    }

    /// Why a repeat would overwrite what somebody else wrote since the dispatch before, if it would: what
    /// was shown to a person must be there still, and what an attempt may have touched must be as it was
    /// or as asked.
    async fn moved_on(
        &self,
        draft: &Draft,
        attempt: &Attempt,
        now: &Prepared,
        touched: bool,
    ) -> Option<Failure> {
        let before = draft.record.dispatch.as_ref()?;
        let sealed = draft.record.seal.is_some();
        if before.operands == now.operands || !(sealed || touched) {
            return None;
        }
        if touched {
            let attempt = Attempt { operands: before.operands.clone(), ..attempt.clone() };
            if look::probe(self.inner, &attempt).await == Probe::Done {
                return None;
            }
        }
        let message = "not repeated: what it works on changed between two attempts";
        let failure = Failure::denied(message).with_code(codes::APPROVAL_STALE);
        Some(if touched {
            Failure::failed_midway(message).with_code(codes::OUTCOME_UNKNOWN)
        } else {
            failure
        })
    }

    /// Makes `dispatched` durable. Once an attempt may have `touched` the world, repeats keep the operands
    /// and the pre-image of the dispatch before: they say how the world was.
    async fn dispatch(
        &self,
        draft: &mut Draft,
        attempt: &Attempt,
        number: u32,
        prepared: Prepared,
        touched: bool,
    ) -> Result<(), StoreError> {
        let (operands, pre_image) = match &draft.record.dispatch {
            Some(before) if touched => (before.operands.clone(), before.pre_image),
            _ => {
                let kept = prepared.pre_image.is_some();
                if let Some(bytes) = prepared.pre_image {
                    let owner = draft.id().0.clone();
                    let kind = PayloadKind::PreImage;
                    draft.keep(Payload { owner, kind, keep: Keep::WithAction, bytes });
                }
                (prepared.operands, kept)
            }
        };
        draft.push(self.inner, Event::Dispatched(self.dispatched(attempt, number, operands, pre_image)));
        draft.reached(self.inner, Step::BeforeDispatch);
        if self.first > 1 && number == self.first {
            // A rerun after a crash: it can't be left as it is, nor ended without trying.
            draft.commit_patiently(self.inner).await?;
        } else {
            draft.commit(self.inner).await?;
        }
        draft.reached(self.inner, Step::Dispatched);
        Ok(())
    }

    fn dispatched(
        &self,
        attempt: &Attempt,
        number: u32,
        operands: Vec<steadyhand_core::approval::Operand>,
        pre_image: bool,
    ) -> Dispatch {
        let attempt_id = attempt.attempt_id.clone();
        Dispatch { attempt_id, attempt: number, at: self.inner.parts.clock.now(), operands, pre_image }
    }

    /// Looks at the world and ends the action.
    async fn executed(
        &self,
        draft: &mut Draft,
        attempt: &Attempt,
        number: u32,
        executed: Executed,
    ) -> Result<(), StoreError> {
        let execute_ms = millis(self.started.elapsed());
        let verification = if self.capability.has_effect {
            Some(verify::verify(self.inner, draft, attempt, &executed).await)
        } else {
            None
        };
        let (state, error) = verify::ending(verification.as_ref());
        let mut execution = self.execution(number, execute_ms, verification);
        execution.success = state == State::Succeeded;
        execution.side_effects = executed.side_effects;
        if let Some(error) = &error {
            execution.error_code = Some(error.code.clone());
            execution.error_message = Some(error.message.clone());
            execution.failure_class = Some(steadyhand_core::failure::FailureClass::ExecutionError);
        }
        output::record(self.inner, draft, self.capability, &mut execution, executed.result);
        draft.end(self.inner, state, Some(execution), error);
        Ok(())
    }

    /// Ends the action with its last failure.
    fn failed(&self, draft: &mut Draft, number: u32, failure: Failure, repeat_is_safe: bool) {
        let (state, code) = ending(&failure, repeat_is_safe);
        let message = failure.message;
        let mut execution = self.execution(number, millis(self.started.elapsed()), None);
        execution.error_code = Some(code.clone());
        execution.error_message = Some(mask_text(&message).into_owned());
        execution.failure_class = (state != State::Cancelled).then_some(failure.class);
        if !failure.partial.is_null() {
            output::record(self.inner, draft, self.capability, &mut execution, failure.partial);
        }
        let error = note(&code, mask_text(&message));
        draft.end(self.inner, state, Some(execution), Some(error));
    }

    fn execution(&self, number: u32, duration_ms: f64, verification: Option<Verification>) -> Execution {
        Execution {
            success: false,
            output: Value::Object(serde_json::Map::new()),
            side_effects: Vec::new(),
            error_code: None,
            error_message: None,
            failure_class: None,
            retries_used: number.saturating_sub(1),
            duration_ms,
            verification,
            output_bytes: 0,
            output_evicted: false,
        }
    }

    /// Whether doing it again could do harm, asked only where something may have happened.
    async fn repeat_is_safe(&self, draft: &Draft, attempt: &Attempt, effect: Effect) -> bool {
        match (effect, self.capability.repeat_safe) {
            (Effect::None, _) | (_, RepeatSafe::Always) => true,
            (_, RepeatSafe::Never) => false,
            (_, RepeatSafe::WhenProbed) => {
                let before = draft.record.dispatch.as_ref().map(|d| d.operands.clone()).unwrap_or_default();
                let attempt = Attempt { operands: before, ..attempt.clone() };
                matches!(look::probe(self.inner, &attempt).await, Probe::Done | Probe::NotDone)
            }
        }
    }

    fn wait_before_next(
        &self,
        draft: &Draft,
        failure: &Failure,
        number: u32,
        repeat_is_safe: bool,
    ) -> Option<Duration> {
        if failure.status == Status::Cancelled || self.cancel.is_cancelled() {
            return None;
        }
        let failed = Failed {
            class: failure.class,
            effect: failure.effect,
            repeat_safe: repeat_is_safe,
            attempt: number,
            elapsed: self.started.elapsed(),
            deadline: self.deadline,
            max_retries: draft.record.max_retries,
            retry_after: failure.retry_after,
        };
        match self.inner.parts.retry.decide(&failed, self.inner.parts.entropy.unit()) {
            Decision::RetryIn(wait) => Some(wait),
            Decision::GiveUp(_) => None,
        }
    }
}

/// Nobody was shown anything, so nothing is stale: somebody else is writing to the same place, and a
/// look a moment later finds it settled.
fn unasked_race(draft: &Draft, failure: Failure) -> Failure {
    let stale = failure.code.as_deref() == Some(codes::APPROVAL_STALE);
    if stale && draft.record.seal.is_none() && failure.effect == Effect::None {
        return Failure::full(format!("{}; somebody else is changing it", failure.message));
    }
    failure
}

/// State and code of an action whose last attempt failed (contract 1.9.3).
fn ending(failure: &Failure, repeat_is_safe: bool) -> (State, String) {
    let (state, code) = match failure.status {
        Status::PolicyDenied => (State::Failed, codes::POLICY_DENIED),
        Status::Timeout if failure.effect != Effect::None && !repeat_is_safe => {
            (State::Timeout, codes::OUTCOME_UNKNOWN)
        }
        Status::Timeout => (State::Timeout, codes::TIMEOUT),
        Status::NotReached | Status::Full if failure.effect != Effect::None && !repeat_is_safe => {
            (State::Failed, codes::OUTCOME_UNKNOWN)
        }
        Status::Error | Status::NotReached | Status::Full => (State::Failed, codes::EXECUTION_FAILED),
        Status::NotImplemented => (State::Failed, codes::VALIDATION_FAILED),
        Status::CircuitOpen => (State::Failed, codes::CIRCUIT_OPEN),
        Status::Cancelled => (State::Cancelled, codes::CANCELLED),
    };
    (state, failure.code.clone().unwrap_or_else(|| code.to_owned()))
}
