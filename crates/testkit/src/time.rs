//! Time that tests move by hand, or that follows tokio's paused clock.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use steadyhand_core::time::{Clock, Timestamp};

/// 2026-01-02T03:04:05Z, where tests begin.
pub const START: Timestamp = Timestamp(1_767_323_045_000_000);

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl Default for ManualClock {
    fn default() -> Self {
        Self(AtomicI64::new(START.0))
    }
}

impl ManualClock {
    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).expect("a test's step is short"), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// A wall clock that moves with tokio's, so that `start_paused` tests see both move together.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock(tokio::time::Instant);

impl TokioClock {
    /// Starts at [`START`]. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start() -> Self {
        Self(tokio::time::Instant::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        START.plus(self.0.elapsed())
    }
}
