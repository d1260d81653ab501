//! The words of Steadyhand: actions, capabilities, failures, events, and the traits between its parts.
//!
//! Never here: HTTP, disks, clocks, randomness, processes. Time comes in through [`time::Clock`], chance
//! through [`chance::Entropy`], the world through [`executor::Executor`] and [`store::Store`].

pub mod action;
pub mod approval;
pub mod caller;
pub mod capability;
pub mod chance;
pub mod digest;
pub mod event;
pub mod executor;
pub mod failure;
pub mod id;
pub mod redact;
pub mod step;
pub mod store;
pub mod time;
