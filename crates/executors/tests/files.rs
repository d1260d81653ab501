//! `file.read` and `file.write` as the pipeline meets them, in a real folder.
#![expect(clippy::unwrap_used, reason = "what can't be set up fails the test")]

#[path = "files/fixture.rs"]
mod fixture;
#[path = "files/hostile.rs"]
mod hostile;
#[path = "files/reading.rs"]
mod reading;
#[path = "files/sealing.rs"]
mod sealing;
#[path = "files/swaps.rs"]
mod swaps;
#[path = "files/undoing.rs"]
mod undoing;
#[path = "files/verdicts.rs"]
mod verdicts;
#[path = "files/writing.rs"]
mod writing;
