//! The front door: HTTP in front of the pipeline; the only crate that knows wire formats.

pub mod auth;
