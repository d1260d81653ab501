//! The pipeline as a whole, on a journal and with hands that are fakes, in virtual time.

#![expect(clippy::unwrap_used, reason = "what a test's helpers don't get ends the test")]

mod approvals;
mod cancelling;
mod idempotency;
mod laws;
mod recovery;
mod retries;
mod rig;
mod road;
mod shutdown;
mod simulation;
mod undoing;
mod verdicts;
