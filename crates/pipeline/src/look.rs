//! Looks at the world, before and after: each is bounded, for an executor that hangs must not keep an
//! action from ending.

use std::time::Duration;

use steadyhand_core::{
    executor::{Attempt, Executed, Prepared, Probe, Verdict, Verification},
    failure::{Effect, Failure},
};
use tokio::time::timeout;

use crate::Inner;

/// Time that an executor gets beyond the attempt's own to say so itself (D-35).
pub(crate) const ANSWER_GRACE: Duration = Duration::from_secs(2);

/// How long a look may take: as long as the attempt that it is for.
fn patience(attempt: &Attempt) -> Duration {
    attempt.timeout + ANSWER_GRACE
}

/// The operands as they are now.
pub(crate) async fn prepare(inner: &Inner, attempt: &Attempt) -> Result<Prepared, Failure> {
    let look = inner.parts.executor.prepare(attempt);
    timeout(patience(attempt), look).await.unwrap_or_else(|_| {
        Err(Failure::timeout("the executor gave no answer when asked for a look", Effect::None))
    })
}

/// What the world says of an execution.
pub(crate) async fn verify(inner: &Inner, attempt: &Attempt, executed: &Executed) -> Verification {
    let look = inner.parts.executor.verify(attempt, executed);
    timeout(patience(attempt), look).await.unwrap_or_else(|_| Verification {
        verdict: Verdict::Unverifiable,
        evidence: "none".to_owned(),
        detail: "the executor gave no answer when asked for a look".to_owned(),
    })
}

/// Whether the effect of an attempt whose answer was lost is there.
pub(crate) async fn probe(inner: &Inner, attempt: &Attempt) -> Probe {
    timeout(patience(attempt), inner.parts.executor.probe(attempt)).await.unwrap_or(Probe::Undecidable)
}
