//! Why a file isn't read or written, in the texts of contract 5.3.

use std::io;

use steadyhand_core::failure::{Effect, Failure};

use super::CONTENT_BYTES_MAX;

/// Why a file isn't read or written. `given` is the path as it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("{0} argument required")]
    Required(&'static str),
    #[error("{0}")]
    IllTyped(String),
    #[error("Timeout {asked_ms}ms exceeds maximum {max_ms}ms")]
    TimeoutTooLong { asked_ms: u128, max_ms: u64 },
    #[error("Path {0}")]
    Name(String),
    #[error("Path '{given}' is outside sandbox or is protected")]
    Outside { given: String },
    #[error("File not found: {given}")]
    NotFound { given: String },
    #[error("Not a file: {given}")]
    NotAFile { given: String },
    #[error("Not a folder: a part of {given}")]
    NotAFolder { given: String },
    #[error("File too large: {bytes} bytes (max {CONTENT_BYTES_MAX})")]
    TooLarge { bytes: u64 },
    #[error("Content too large: {bytes} bytes (max {CONTENT_BYTES_MAX})")]
    ContentTooLarge { bytes: usize },
    #[error("Not a text file (invalid UTF-8 at byte {at})")]
    NotText { at: usize },
    #[error("`{path}` changed after this was shown")]
    Stale { path: String },
    #[error("{given} kept changing while it was opened")]
    Unsteady { given: String },
    #[error("{doing} failed: {source}")]
    Io { doing: &'static str, source: io::Error },
    /// After the point of no return.
    #[error("it was done, but {doing} failed: {source}")]
    Late { doing: &'static str, source: io::Error },
    #[error("stopped before anything was changed")]
    Stopped,
}

impl Refusal {
    /// For `map_err`: an I/O error while `doing` something.
    pub(super) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Outside { .. } => Self::denied(text),
            Refusal::Stale { .. } => Self::denied(text).with_code("APPROVAL_STALE"),
            Refusal::IllTyped(_) | Refusal::TimeoutTooLong { .. } | Refusal::Name(_) => Self::invalid(text),
            Refusal::Required(_)
            | Refusal::NotFound { .. }
            | Refusal::NotAFile { .. }
            | Refusal::NotAFolder { .. }
            | Refusal::TooLarge { .. }
            | Refusal::ContentTooLarge { .. }
            | Refusal::NotText { .. }
            | Refusal::Unsteady { .. }
            | Refusal::Io { .. } => Self::error(text),
            Refusal::Late { .. } => Self::failed_midway(text),
            Refusal::Stopped => Self::cancelled(text, Effect::None),
        }
    }
}
