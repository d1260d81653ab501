//! Health of one dependency: what its last checks add up to. Told the time and the outcome; never checks
//! by itself.
//!
//! Thresholds: the wire contract, 1.11.

use std::time::Duration;

use serde::Serialize;
use steadyhand_core::time::Timestamp;

/// Failures in a row that make a dependency degraded.
pub const DEGRADED_AFTER: u32 = 3;
/// Failures in a row that make it failed.
pub const FAILED_AFTER: u32 = 10;
/// Successes in a row that make it healthy again.
pub const HEALTHY_AFTER: u32 = 3;
/// Characters of an error that are kept.
const ERROR_CHARS_MAX: usize = 200;

/// How a dependency is; the later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It answers.
    Healthy,
    /// It answers again, but hasn't for long.
    Recovering,
    /// It has failed several times in a row.
    Degraded,
    /// It has failed many times in a row.
    Failed,
}

/// What the checks of one dependency add up to.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// How it is.
    pub state: State,
    /// Failures since the last success.
    pub consecutive_failures: u32,
    /// Successes since the last failure.
    pub consecutive_successes: u32,
    /// Checks in all.
    pub total_checks: u64,
    /// Failures in all.
    pub total_failures: u64,
    /// How long the last answer took.
    pub last_latency: Option<Duration>,
    /// What the last failure said, if the last check failed.
    pub last_error: Option<String>,
    /// When it was last checked.
    pub last_check: Option<Timestamp>,
    /// When it last answered.
    pub last_ok: Option<Timestamp>,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            state: State::Healthy,
            consecutive_failures: 0,
            consecutive_successes: 0,
            total_checks: 0,
            total_failures: 0,
            last_latency: None,
            last_error: None,
            last_check: None,
            last_ok: None,
        }
    }
}

impl Health {
    /// Takes in a check that took `latency` and ended at `now`.
    pub fn record(&mut self, outcome: Result<(), String>, latency: Duration, now: Timestamp) {
        self.total_checks += 1;
        self.last_latency = Some(latency);
        self.last_check = Some(now);
        match outcome {
            Ok(()) => {
                self.consecutive_failures = 0;
                self.consecutive_successes = self.consecutive_successes.saturating_add(1);
                self.last_error = None;
                self.last_ok = Some(now);
            }
            Err(error) => {
                self.consecutive_successes = 0;
                self.consecutive_failures = self.consecutive_failures.saturating_add(1);
                self.total_failures += 1;
                self.last_error = Some(error.chars().take(ERROR_CHARS_MAX).collect());
            }
        }
        self.state = self.next_state();
    }

    fn next_state(&self) -> State {
        if self.consecutive_failures >= FAILED_AFTER {
            State::Failed
        } else if self.consecutive_failures >= DEGRADED_AFTER {
            State::Degraded
        } else if self.state == State::Healthy || self.consecutive_successes >= HEALTHY_AFTER {
            State::Healthy
        } else {
            State::Recovering
        }
    }
}

/// The state of several dependencies together: the worst wins; none is healthy.
pub fn overall(states: impl IntoIterator<Item = State>) -> State {
    states.into_iter().max().unwrap_or(State::Healthy)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` is a success, `-` a failure; the state after each is one letter of h, r, d, f.
    fn check(checks: &str, states: &str) {
        let mut health = Health::default();
        let mut seen = String::new();
        for c in checks.chars() {
            let outcome = if c == '+' { Ok(()) } else { Err("HTTP 500".to_owned()) };
            health.record(outcome, Duration::from_millis(1), Timestamp(1));
            seen.push(match health.state {
                State::Healthy => 'h',
                State::Recovering => 'r',
                State::Degraded => 'd',
                State::Failed => 'f',
            });
        }
        assert_eq!(seen, states, "{checks}");
    }

    #[test]
    fn states_follow_the_contracts_thresholds() {
        check("+++", "hhh");
        check("--+--+", "hhhhhh");
        check("---", "hhd");
        check("----------", "hhdddddddf");
        check("---+++", "hhdrrh");
        check("---+-+++", "hhdrrrrh");
        check("----------+++", "hhdddddddfrrh");
        check("---+---", "hhdrrrd");
    }

    #[test]
    fn the_worst_wins() {
        use State::{Degraded, Failed, Healthy, Recovering};
        for (states, worst) in [
            (&[][..], Healthy),
            (&[Healthy, Recovering], Recovering),
            (&[Degraded, Recovering, Healthy], Degraded),
            (&[Healthy, Failed, Degraded], Failed),
        ] {
            assert_eq!(overall(states.iter().copied()), worst);
        }
    }

    #[test]
    fn counts_and_the_last_error_are_kept() {
        let mut health = Health::default();
        health.record(Err("e".repeat(500)), Duration::from_millis(3), Timestamp(5));
        assert_eq!(health.last_error.as_ref().map(String::len), Some(200));
        assert_eq!((health.total_checks, health.total_failures, health.last_ok), (1, 1, None));
        health.record(Ok(()), Duration::from_millis(2), Timestamp(7));
        assert_eq!((health.last_error, health.last_ok), (None, Some(Timestamp(7))));
    }
}
