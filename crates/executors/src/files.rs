//! Files under the roots: read, written, verified, put back.

use std::{path::PathBuf, sync::Arc};

use steadyhand_core::{
    chance::Entropy,
    executor::{Attempt, Executed, Prepared, Probe, UndoError, UndoMode, Undone, Verdict, Verification},
    failure::Failure,
};
use tokio_util::sync::CancellationToken;

use crate::HandsError;

/// How files are confined, for `/v1/capabilities`: every path is resolved beneath a root's descriptor.
pub const CONFINEMENT: &str = "beneath-root";

/// What a path is looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// `file.read`.
    Read,
    /// `file.write`.
    Write,
}

/// The executor of `file.read` and `file.write`.
#[derive(Debug)]
pub struct Files {}

fn soon() -> Failure {
    Failure::not_implemented("Tool not yet implemented")
}

#[expect(missing_docs, clippy::unused_async, reason = "filled in by the next commit")]
impl Files {
    pub fn open(_: &[PathBuf], _: &[PathBuf], _: Arc<dyn Entropy>) -> Result<Self, HandsError> {
        Ok(Self {})
    }
    pub async fn prepare(&self, _: &Attempt, _: Intent) -> Result<Prepared, Failure> {
        Err(soon())
    }
    pub async fn read(&self, _: &Attempt, _: &CancellationToken) -> Result<Executed, Failure> {
        Err(soon())
    }
    pub async fn write(&self, _: &Attempt, _: &CancellationToken) -> Result<Executed, Failure> {
        Err(soon())
    }
    pub async fn verify_read(&self, _: &Attempt, _: &Executed) -> Verification {
        Verification { verdict: Verdict::Unverifiable, evidence: String::new(), detail: String::new() }
    }
    pub async fn verify_write(&self, _: &Attempt) -> Verification {
        Verification { verdict: Verdict::Unverifiable, evidence: String::new(), detail: String::new() }
    }
    pub async fn probe(&self, _: &Attempt) -> Probe {
        Probe::Undecidable
    }
    pub async fn undo(&self, _: &Attempt, _: Option<&[u8]>, _: UndoMode) -> Result<Undone, UndoError> {
        Err(UndoError::Failed(soon()))
    }
    pub fn obstacle(&self) -> Option<String> {
        None
    }
}
