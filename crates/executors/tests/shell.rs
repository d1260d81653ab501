//! `shell.run` through the real stage: what the kernel really refuses, and that nothing is left behind.
//!
//! Programs such as `sh` and `perl` stand for a hostile program: policy adds them here, and the sandbox
//! alone has to hold them.
#![expect(clippy::unwrap_used, reason = "what can't be set up fails the test")]

#[path = "shell/confinement.rs"]
mod confinement;
#[path = "shell/endings.rs"]
mod endings;
#[path = "shell/fixture.rs"]
mod fixture;
#[path = "shell/results.rs"]
mod results;
#[path = "shell/weaker.rs"]
mod weaker;
