//! Retry: one pure decision on what follows a failed call. The loop that sleeps is the pipeline's.
//!
//! Table: the founding document, section 2a, "Retry Taxonomy"; it stands over any other figure.
//! Waits: full jitter, M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).

use std::{fmt, time::Duration};

use steadyhand_core::failure::{Effect, FailureClass};

/// The longest wait that backoff alone gives. What the other side asks for may be longer.
pub const DELAY_MAX: Duration = Duration::from_secs(30);

/// A failed call, and all that bears on repeating it. Times count from the action's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed {
    /// What kind of failure it was.
    pub class: FailureClass,
    /// Whether anything can have happened.
    pub effect: Effect,
    /// Whether doing it again is as good as doing it once.
    pub repeat_safe: bool,
    /// The number of the call that failed; 1 is the first.
    pub attempt: u32,
    /// When it failed.
    pub elapsed: Duration,
    /// When the action must have ended.
    pub deadline: Duration,
    /// The caller's upper bound on retries; it can lower the class's own, never raise it.
    pub max_retries: Option<u8>,
    /// The wait that the other side asked for; it lengthens ours, never shortens it.
    pub retry_after: Option<Duration>,
}

/// What follows a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Call again after this wait, which ends before the deadline.
    RetryIn(Duration),
    /// Make no further call.
    GiveUp(Why),
}

/// Why no further call is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The class isn't retried.
    NotRetryable,
    /// Something may have happened, and a repeat could make it happen twice.
    RepeatUnsafe,
    /// All retries that class and caller allow were made.
    RetriesSpent,
    /// The wait would reach the deadline.
    DeadlineTooClose,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRetryable => "this kind of failure isn't retried",
            Self::RepeatUnsafe => "a repeat could do it twice",
            Self::RetriesSpent => "all retries were made",
            Self::DeadlineTooClose => "the deadline is too close",
        })
    }
}

/// Decides what follows a failed call. Pure: the same input gives the same decision.
pub trait RetryDecision: Send + Sync {
    /// Decides on `failed`. `jitter` is uniform in [0, 1): the share of the longest wait that is taken.
    fn decide(&self, failed: &Failed, jitter: f64) -> Decision;
}

/// One class's row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Calls after the first; 0: the class isn't retried.
    pub max_retries: u8,
    /// The longest wait before the first retry; it doubles with each. Zero where nothing is retried.
    pub base: Duration,
}

impl Budget {
    const NONE: Self = Self { max_retries: 0, base: Duration::ZERO };

    /// Whether the class is retried at all.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        self.max_retries > 0
    }

    /// The longest wait before retry number `retry` (1 is the first): doubled each time, at most
    /// [`DELAY_MAX`].
    #[must_use]
    pub fn delay_max(self, retry: u32) -> Duration {
        let doublings = retry.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(DELAY_MAX)
    }
}

/// The founding document's taxonomy.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taxonomy;

impl Taxonomy {
    /// The row of a class.
    #[must_use]
    pub fn budget(class: FailureClass) -> Budget {
        let row = |max_retries, base_ms| Budget { max_retries, base: Duration::from_millis(base_ms) };
        match class {
            FailureClass::ConnectionBootstrap => row(3, 1_000),
            FailureClass::Timeout => row(2, 2_000),
            FailureClass::Backpressure => row(5, 500),
            FailureClass::CircuitOpen
            | FailureClass::PolicyDenied
            | FailureClass::ValidationFailed
            | FailureClass::ExecutionError
            | FailureClass::Unknown => Budget::NONE,
        }
    }
}

impl RetryDecision for Taxonomy {
    fn decide(&self, failed: &Failed, jitter: f64) -> Decision {
        let budget = Self::budget(failed.class);
        if !budget.is_retryable() {
            return Decision::GiveUp(Why::NotRetryable);
        }
        if failed.effect != Effect::None && !failed.repeat_safe {
            return Decision::GiveUp(Why::RepeatUnsafe);
        }
        let max_retries = failed.max_retries.map_or(budget.max_retries, |max| max.min(budget.max_retries));
        if failed.attempt > u32::from(max_retries) {
            return Decision::GiveUp(Why::RetriesSpent);
        }
        let drawn = budget.delay_max(failed.attempt).mul_f64(share(jitter));
        let wait = failed.retry_after.map_or(drawn, |asked| asked.max(drawn));
        if failed.elapsed.saturating_add(wait) >= failed.deadline {
            return Decision::GiveUp(Why::DeadlineTooClose);
        }
        Decision::RetryIn(wait)
    }
}

/// A broken source of chance costs the longest wait, not the task.
fn share(jitter: f64) -> f64 {
    if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests;
