//! How the core's words look on the wire, and how the wire's requests become the core's words.

pub mod action;
pub mod capability;
pub mod fields;
pub mod time;
pub mod trail;
