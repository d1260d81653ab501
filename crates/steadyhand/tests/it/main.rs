//! The program as its users meet it: the real binary, over HTTP, the command line and signals.
//! Never here: calls into its crates; what can't be seen from outside isn't tested here.

#![expect(clippy::unwrap_used, reason = "a test ends where its surroundings fail it")]

mod support;

mod actions;
mod approvals;
mod cancel;
mod capabilities;
mod cli;
mod crash;
mod errors;
mod gate;
mod health;
mod keys;
mod lifecycle;
mod lists;
mod odd_inputs;
mod openclaw;
mod outputs;
mod remote;
mod scopes;
mod secrets;
mod trails;
mod undo;
mod validation;
