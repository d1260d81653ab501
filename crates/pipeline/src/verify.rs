//! Verify: an independent look at the world after an execution (D-43).

use steadyhand_core::{
    action::{ErrorNote, State},
    event::Event,
    executor::{Attempt, Executed, Verdict, Verification},
    step::Step,
    time::millis,
};
use tokio::time::Instant;

use crate::{
    Inner,
    answer::{codes, note},
    draft::Draft,
    look,
};

/// Looks at the world and writes down what was seen.
pub(crate) async fn verify(
    inner: &Inner,
    draft: &mut Draft,
    attempt: &Attempt,
    executed: &Executed,
) -> Verification {
    let began = Instant::now();
    let verification = look::verify(inner, attempt, executed).await;
    let verify_ms = millis(began.elapsed());
    draft.push(inner, Event::Verified { verification: verification.clone(), verify_ms });
    draft.reached(inner, Step::Verified);
    verification
}

/// How an execution ends that was looked at: a partial effect and none are failures.
pub(crate) fn ending(verification: Option<&Verification>) -> (State, Option<ErrorNote>) {
    match verification.map(|v| (v.verdict, &v.detail)) {
        None | Some((Verdict::Confirmed | Verdict::Unverifiable, _)) => (State::Succeeded, None),
        Some((Verdict::Partial, detail)) => {
            let message = format!("it ran, but only part of it is there: {detail}");
            (State::Failed, Some(note(codes::VERIFY_FAILED, message)))
        }
        Some((Verdict::NoOp, detail)) => {
            let message = format!("it ran, but nothing changed: {detail}");
            (State::Failed, Some(note(codes::VERIFY_FAILED, message)))
        }
    }
}
