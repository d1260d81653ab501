//! Placeholder.

pub mod sandbox;
pub mod shell;
